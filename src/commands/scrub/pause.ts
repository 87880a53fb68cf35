import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { withPool } from '../../cli/pool-access.js';
import { prose } from '../../cli/prose.js';
import { pauseFlags, pauseRequest, setScrubPaused } from '../../cli/run-pause.js';
import type { Output } from '../../cli/schemas.js';
import { scrubStatus } from '../../cli/scrub-control.js';

/** Pauses the scrub that runs. */
export default class ScrubPause extends BaseCommand {
  static override hiddenAliases = ['scrub-pause'];
  static override summary = 'Pause the scrub that runs.';

  static override description = prose(`It stays open until it is resumed or stopped.

EXIT STATUS: 0 paused, 2 usage, 10 nothing runs, 12 not for this pool.`);

  static override examples = [
    '<%= config.bin %> <%= command.id %> --pool /pool',
    '<%= config.bin %> <%= command.id %> --pool /pool --reason "backup" --for 2h',
  ];
  static override flags = { pool: poolFlag, ...pauseFlags };

  async run(): Promise<Output<'scrub pause'>> {
    const { flags } = await this.parse(ScrubPause);
    const request = pauseRequest(flags);
    const status = await withPool(flags.pool, 'write', (pool) => {
      setScrubPaused(pool, true, request);
      return scrubStatus(pool);
    });
    this.log('Scrub paused');
    return status;
  }
}
