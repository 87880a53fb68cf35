import { Flags } from '@oclif/core';
import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { startDefrag } from '../../cli/defrag-start.js';
import { intensityFlag, threadsFlag } from '../../cli/flags.js';
import { prose } from '../../cli/prose.js';
import type { Output } from '../../cli/schemas.js';

/** Begins defragmentation in the background. */
export default class DefragStart extends BaseCommand {
  static override hiddenAliases = ['defrag-start'];
  static override summary = 'Start background defragmentation.';

  static override description =
    prose(`Every extent is written to a contiguous place, flushed, read back from the
disk and verified before its old place is let go; hot extents first. While enabled, a pass looks every
60 s for what became fragmented since. Starting again changes intensity and threads.

EXIT STATUS: 0 started (or nothing to do), 2 usage, 10 no such pool, 18 queue unreachable, 26 no agent;
with --wait also 1 the run failed, 64 some extents failed, 130 interrupted (the run goes on).`);

  static override examples = [
    '<%= config.bin %> <%= command.id %> --pool /pool --intensity medium',
    '<%= config.bin %> <%= command.id %> --pool /pool --intensity high --threads 4 --once --wait',
  ];

  static override flags = {
    pool: poolFlag,
    intensity: intensityFlag({ summary: 'How hard to work.', default: 'low' }),
    threads: threadsFlag({ summary: 'Extents at a time.', default: 1 }),
    once: Flags.boolean({ summary: 'One run; no passes after it.', default: false }),
    wait: Flags.boolean({ summary: 'Wait for the run to end.', default: false }),
  };

  async run(): Promise<Output<'defrag start'>> {
    const { flags } = await this.parse(DefragStart);
    const { intensity, threads, once, wait } = flags;
    const started = await startDefrag(flags.pool, {
      intensity,
      threadCount: threads,
      once,
      wait,
      quiet: this.jsonEnabled(),
      note: (message) => this.note(message),
    });
    const { run } = started;
    this.log(`Defragmentation started with ${intensity} intensity`);
    if (!run) this.log('Nothing is fragmented now');
    else if (wait)
      this.log(
        `Run ${run.state}: ${run.doneCount} moved, ${run.skippedCount} skipped, ${run.failedCount} failed`,
      );
    else this.log("Use 'defrag-status' to check progress");
    if (wait && run?.state === 'failed') process.exitCode = 1;
    else if (wait && run && run.failedCount > 0) process.exitCode = 64;
    return started;
  }
}
