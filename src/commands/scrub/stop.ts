import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { withPool } from '../../cli/pool-access.js';
import { prose } from '../../cli/prose.js';
import type { Output } from '../../cli/schemas.js';
import { scrubStatus, stopScrub } from '../../cli/scrub-control.js';

/** Ends the scrub that runs. */
export default class ScrubStop extends BaseCommand {
  static override hiddenAliases = ['scrub-stop'];
  static override summary = 'Stop the scrub; the next one goes on from there.';

  static override description = prose(`What was being read when it was stopped is read again then.

EXIT STATUS: 0 stopped (or nothing ran), 2 usage, 10 no such pool, 12 not for this pool.`);

  static override examples = ['<%= config.bin %> <%= command.id %> --pool /pool'];
  static override flags = { pool: poolFlag };

  async run(): Promise<Output<'scrub stop'>> {
    const { flags } = await this.parse(ScrubStop);
    const { stopped, status } = await withPool(flags.pool, 'write', (pool) => ({
      stopped: stopScrub(pool),
      status: scrubStatus(pool),
    }));
    this.log(stopped ? 'Scrub stopped' : 'No scrub runs');
    return status;
  }
}
