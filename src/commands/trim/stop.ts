import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { withPool } from '../../cli/pool-access.js';
import { prose } from '../../cli/prose.js';
import { stopTrim } from '../../cli/run-control.js';
import type { Output } from '../../cli/schemas.js';
import { trimStatus } from '../../cli/views.js';

/** Ends the trim that runs, after the batch under way. */
export default class TrimStop extends BaseCommand {
  static override summary = 'Stop the trim that runs, after the batch under way.';

  static override description = prose(`What was freed stays freed; the rest stays pending.

EXIT STATUS: 0 stopped (or nothing ran), 2 usage, 10 no such pool.`);

  static override examples = ['<%= config.bin %> <%= command.id %> --pool /pool'];
  static override flags = { pool: poolFlag };

  async run(): Promise<Output<'trim stop'>> {
    const { flags } = await this.parse(TrimStop);
    const [stopped, status] = await withPool(flags.pool, 'write', (pool) => [
      stopTrim(pool),
      trimStatus(pool),
    ]);
    this.log(stopped ? 'TRIM stopped' : 'No TRIM runs');
    return status;
  }
}
