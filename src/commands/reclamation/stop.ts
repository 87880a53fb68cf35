import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { prose } from '../../cli/prose.js';
import { endOpenReclamation } from '../../cli/reclamation-control.js';
import type { Output } from '../../cli/schemas.js';

/** End the open reclamation; what was done stays done. */
export default class ReclamationStop extends BaseCommand {
  static override summary = 'End the open reclamation; what was done stays done.';

  static override description = prose(`Takes effect after the extent, file or window under way.

EXIT STATUS: 0 stopped, 2 usage, 10 none is open, 21 not registered.`);

  static override examples = ['<%= config.bin %> <%= command.id %> --pool /pool'];
  static override flags = { pool: poolFlag };

  async run(): Promise<Output<'reclamation stop'>> {
    const { flags } = await this.parse(ReclamationStop);
    const reclamation = await endOpenReclamation(flags.pool);
    this.log('Reclamation stopped');
    return { schemaVersion: 1, reclamation };
  }
}
