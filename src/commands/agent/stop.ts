import { stopAgent } from '../../cli/agent-control.js';
import { agentStatus } from '../../cli/agent-views.js';
import { BaseCommand } from '../../cli/base-command.js';
import { printable } from '../../cli/printable.js';
import { prose } from '../../cli/prose.js';
import type { Output } from '../../cli/schemas.js';

/** Stops the agent. */
export default class AgentStop extends BaseCommand {
  static override summary = 'Stop the agent, after what is under way.';

  static override description =
    prose(`Runs stay open and continue when an agent is started again. A disk that does not answer is
waited for as long as DYNAMICFS_DISK_TIMEOUT_S says, and named.

EXIT STATUS: 0 stopped (or none ran), 2 usage, 26 it still finishes something.`);

  static override examples = ['<%= config.bin %> <%= command.id %>'];

  async run(): Promise<Output<'agent stop'>> {
    await this.parse(AgentStop);
    const { found, left } = await stopAgent();
    this.log(found ? 'Agent stopped' : 'No agent runs');
    for (const path of left) {
      this.logToStderr(
        `${printable(path)} does not answer: what was under way there is left as it was, and no ` +
          'other agent works on its pool until it answers or the machine is started again.',
      );
    }
    return agentStatus();
  }
}
