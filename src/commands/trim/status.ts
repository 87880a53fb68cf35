import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { showTrimStatus } from '../../cli/pool-views.js';
import type { Output } from '../../cli/schemas.js';
import { trimStatusText } from '../../cli/text.js';

/** Shows what trims did and what is pending. */
export default class TrimStatus extends BaseCommand {
  static override hiddenAliases = ['trim-status'];
  static override summary = 'Show TRIM statistics and pending operations.';
  static override description = 'EXIT STATUS: 0 shown, 2 usage, 10 no such pool.';
  static override examples = ['<%= config.bin %> <%= command.id %> --pool /pool'];
  static override flags = { pool: poolFlag };

  async run(): Promise<Output<'trim status'>> {
    const { flags } = await this.parse(TrimStatus);
    const status = await showTrimStatus(flags.pool);
    this.log(trimStatusText(status, Date.now()));
    return status;
  }
}
