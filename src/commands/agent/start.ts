import { agentStatus, agentStatusText, startAgent } from '../../cli/agent-views.js';
import { BaseCommand } from '../../cli/base-command.js';
import type { Output } from '../../cli/schemas.js';

/** Starts the agent in the background. */
export default class AgentStart extends BaseCommand {
  static override summary = 'Start the agent in the background.';
  static override description =
    'EXIT STATUS: 0 it runs (also if it did already), 2 usage, 26 it did not start.';
  static override examples = ['<%= config.bin %> <%= command.id %>'];

  async run(): Promise<Output<'agent start'>> {
    await this.parse(AgentStart);
    await startAgent((message) => this.note(message));
    const status = agentStatus();
    this.log(agentStatusText(status));
    return status;
  }
}
