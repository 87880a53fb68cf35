import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { withAnyPool } from '../../cli/pool-access.js';
import { prose } from '../../cli/prose.js';
import type { Output } from '../../cli/schemas.js';
import { defragStatusText } from '../../cli/text.js';
import { defragStatus } from '../../cli/views.js';

/** Show defragmentation status and statistics. */
export default class DefragStatus extends BaseCommand {
  static override hiddenAliases = ['defrag-status'];
  static override summary = 'Show defragmentation status and statistics.';

  static override description = prose(`Of the run that is open, or of the last one.

EXIT STATUS: 0 shown, 2 usage, 10 no such pool.`);

  static override examples = ['<%= config.bin %> <%= command.id %> --pool /pool'];
  static override flags = { pool: poolFlag };

  async run(): Promise<Output<'defrag status'>> {
    const { flags } = await this.parse(DefragStatus);
    const status = await withAnyPool(flags.pool, 'read', defragStatus);
    this.log(defragStatusText(status));
    return status;
  }
}
