import { stopAgent } from '../../cli/agent-control.js';
import { agentStatus } from '../../cli/agent-views.js';
import { BaseCommand } from '../../cli/base-command.js';
import { prose } from '../../cli/prose.js';
import type { Output } from '../../cli/schemas.js';

/** Stops the agent. */
export default class AgentStop extends BaseCommand {
  static override summary = 'Stop the agent, after what is under way.';

  static override description = prose(`Runs stay open and continue when an agent is started again.

EXIT STATUS: 0 stopped (or none ran), 2 usage, 26 it still finishes something.`);

  static override examples = ['<%= config.bin %> <%= command.id %>'];

  async run(): Promise<Output<'agent stop'>> {
    await this.parse(AgentStop);
    const stopped = await stopAgent();
    this.log(stopped ? 'Agent stopped' : 'No agent runs');
    return agentStatus();
  }
}
