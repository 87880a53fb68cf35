import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { withAnyPool } from '../../cli/pool-access.js';
import { prose } from '../../cli/prose.js';
import { pauseFlags, pauseRequest, setDefragPaused } from '../../cli/run-pause.js';
import type { Output } from '../../cli/schemas.js';
import { defragStatus } from '../../cli/views.js';

/** Pause the run, after the extent under way. */
export default class DefragPause extends BaseCommand {
  static override hiddenAliases = ['defrag-pause'];
  static override summary = 'Pause the run, after the extent under way.';

  static override description = prose(`It stays open until it is resumed or stopped.

EXIT STATUS: 0 paused, 2 usage, 10 nothing runs.`);

  static override examples = [
    '<%= config.bin %> <%= command.id %> --pool /pool',
    '<%= config.bin %> <%= command.id %> --pool /pool --reason "backup" --for 2h',
  ];
  static override flags = { pool: poolFlag, ...pauseFlags };

  async run(): Promise<Output<'defrag pause'>> {
    const { flags } = await this.parse(DefragPause);
    const request = pauseRequest(flags);
    const status = await withAnyPool(flags.pool, 'write', (pool) => {
      setDefragPaused(pool, true, request);
      return defragStatus(pool);
    });
    this.log('Defragmentation paused');
    return status;
  }
}
