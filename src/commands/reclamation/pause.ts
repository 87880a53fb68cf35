import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { prose } from '../../cli/prose.js';
import { pauseReclamation } from '../../cli/reclamation-control.js';
import { pauseFlags, pauseRequest } from '../../cli/run-pause.js';
import type { Output } from '../../cli/schemas.js';

/** Pause the open reclamation, its run too. */
export default class ReclamationPause extends BaseCommand {
  static override summary = 'Pause the open reclamation, its run too.';

  static override description =
    prose(`Takes effect after the extent, file or window under way. It stays open until it is
resumed or stopped.

EXIT STATUS: 0 paused, 2 usage, 10 none is open, 21 not registered.`);

  static override examples = [
    '<%= config.bin %> <%= command.id %> --pool /pool',
    '<%= config.bin %> <%= command.id %> --pool /pool --reason "backup" --for 2h',
  ];
  static override flags = { pool: poolFlag, ...pauseFlags };

  async run(): Promise<Output<'reclamation pause'>> {
    const { flags } = await this.parse(ReclamationPause);
    const reclamation = await pauseReclamation(flags.pool, pauseRequest(flags));
    this.log('Reclamation paused');
    return { schemaVersion: 1, reclamation };
  }
}
