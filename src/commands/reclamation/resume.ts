import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { prose } from '../../cli/prose.js';
import { resumeReclamation } from '../../cli/reclamation-control.js';
import type { Output } from '../../cli/schemas.js';

/** Resume a paused reclamation. */
export default class ReclamationResume extends BaseCommand {
  static override summary = 'Resume a paused reclamation.';

  static override description = prose(`The agent takes it up within a second, where it was.

EXIT STATUS: 0 resumed, 2 usage, 10 none is open, 18 queue unreachable, 21 not registered, 26 no agent.`);

  static override examples = ['<%= config.bin %> <%= command.id %> --pool /pool'];
  static override flags = { pool: poolFlag };

  async run(): Promise<Output<'reclamation resume'>> {
    const { flags } = await this.parse(ReclamationResume);
    const reclamation = await resumeReclamation(flags.pool, (message) => this.note(message));
    this.log('Reclamation resumed');
    return { schemaVersion: 1, reclamation };
  }
}
