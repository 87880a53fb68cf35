import { agentStatus, agentStatusText } from '../../cli/agent-views.js';
import { BaseCommand } from '../../cli/base-command.js';
import type { Output } from '../../cli/schemas.js';

/** Shows whether an agent runs, and where. */
export default class AgentStatus extends BaseCommand {
  static override summary = 'Show whether the agent of this node runs, and where.';
  static override description = 'EXIT STATUS: 0 it runs, 2 usage, 26 it does not.';
  static override examples = ['<%= config.bin %> <%= command.id %>'];

  async run(): Promise<Output<'agent status'>> {
    await this.parse(AgentStatus);
    const status = agentStatus();
    this.log(agentStatusText(status));
    if (!status.running) process.exitCode = 26;
    return status;
  }
}
