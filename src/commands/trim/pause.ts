import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { withAnyPool } from '../../cli/pool-access.js';
import { showTrimStatus } from '../../cli/pool-views.js';
import { prose } from '../../cli/prose.js';
import { pauseFlags, pauseRequest, setTrimPaused } from '../../cli/run-pause.js';
import type { Output } from '../../cli/schemas.js';

/** Pauses the trim that runs, after the step under way. */
export default class TrimPause extends BaseCommand {
  static override summary = 'Pause the trim that runs, after the step under way.';

  static override description =
    prose(`It stays open, and goes on where it was when it is resumed. No other trim begins.

EXIT STATUS: 0 paused, 2 usage, 10 nothing runs.`);

  static override examples = [
    '<%= config.bin %> <%= command.id %> --pool /pool',
    '<%= config.bin %> <%= command.id %> --pool /pool --reason "backup" --for 2h',
  ];
  static override flags = { pool: poolFlag, ...pauseFlags };

  async run(): Promise<Output<'trim pause'>> {
    const { flags } = await this.parse(TrimPause);
    const request = pauseRequest(flags);
    await withAnyPool(flags.pool, 'write', (pool) => setTrimPaused(pool, true, request));
    this.log('TRIM paused');
    return await showTrimStatus(flags.pool);
  }
}
