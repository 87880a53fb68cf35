import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { withAnyPool } from '../../cli/pool-access.js';
import { showTrimStatus } from '../../cli/pool-views.js';
import { prose } from '../../cli/prose.js';
import { stopTrim } from '../../cli/run-control.js';
import type { Output } from '../../cli/schemas.js';

/** Ends the trim that runs, after the batch under way. */
export default class TrimStop extends BaseCommand {
  static override summary = 'Stop the trim that runs, after the batch under way.';

  static override description = prose(`What was freed stays freed; the rest stays pending.

EXIT STATUS: 0 stopped (or nothing ran), 2 usage, 10 no such pool.`);

  static override examples = ['<%= config.bin %> <%= command.id %> --pool /pool'];
  static override flags = { pool: poolFlag };

  async run(): Promise<Output<'trim stop'>> {
    const { flags } = await this.parse(TrimStop);
    const stopped = await withAnyPool(flags.pool, 'write', stopTrim);
    const status = await showTrimStatus(flags.pool);
    this.log(stopped ? 'TRIM stopped' : 'No TRIM runs');
    return status;
  }
}
