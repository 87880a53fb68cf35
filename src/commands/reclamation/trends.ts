import { Flags } from '@oclif/core';
import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { prose } from '../../cli/prose.js';
import type { Output } from '../../cli/schemas.js';
import { isUtf8 } from '../../cli/sparkline.js';
import { trendsText } from '../../cli/trends-text.js';
import { showTrends, TREND_DAYS_DEFAULT } from '../../cli/trends-view.js';

/** Shows how a pool changed, and what is to be expected. */
export default class ReclamationTrends extends BaseCommand {
  static override summary =
    'Show how fragmentation and space changed, and when a threshold passes.';

  static override description =
    prose(`Hours of 60 days and days of two years are kept, in UTC. The figures of a mounted file
system's fragmentation are those of its last analysis, with its time.

EXIT STATUS: 0 shown, 2 usage, 10 no such pool.`);

  static override examples = [
    '<%= config.bin %> <%= command.id %> --pool /pool',
    '<%= config.bin %> <%= command.id %> --pool /mnt/data --days 3 --hourly',
  ];
  static override flags = {
    pool: poolFlag,
    days: Flags.integer({
      summary: 'Days to show, up to today.',
      default: TREND_DAYS_DEFAULT,
      min: 1,
      max: 732,
    }),
    hourly: Flags.boolean({ summary: 'Each hour instead of each day; 60 days of them are kept.' }),
  };

  async run(): Promise<Output<'reclamation trends'>> {
    const { flags } = await this.parse(ReclamationTrends);
    const view = await showTrends(flags.pool, flags.days, flags.hourly ? 'hour' : 'day');
    this.log(trendsText(view, isUtf8(process.env)));
    return view;
  }
}
