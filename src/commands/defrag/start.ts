import { Flags } from '@oclif/core';
import { BaseCommand, exitCodeOfRun, poolFlag } from '../../cli/base-command.js';
import { planDefrag, startDefrag } from '../../cli/defrag-start.js';
import { intensityFlag, sloFlag, threadsFlag } from '../../cli/flags.js';
import { defragPlanText } from '../../cli/fs-text.js';
import { prose } from '../../cli/prose.js';
import { exitCodeOfError } from '../../cli/report-error.js';
import type { Output } from '../../cli/schemas.js';
import { exclusionLines } from '../../cli/text.js';
import { QUIET_MS_DEFAULT } from '../../domain/fs-runs.js';

/** Each reason stands above. */
const NEXT_AFTER_FAILURES =
  '  Next: Nothing was lost. Look into the kernel log (dmesg) for what went wrong with the disk, and `disk health`.';

/** Begins defragmentation in the background. */
export default class DefragStart extends BaseCommand {
  static override hiddenAliases = ['defrag-start'];
  static override summary = 'Start background defragmentation.';

  static override description =
    prose(`Every extent is written to a contiguous place, flushed, read back from the
disk and verified before its old place is let go; hot extents first. While enabled, a pass looks every
60 s for what became fragmented since. Starting again changes intensity and threads.

While others use the devices it works for a small share of the time only, and pauses while these have as
much as they can do (--intensity high: a quarter, and no pause); see docs/governor.md.

On a mounted ext4, XFS or Btrfs whole files are moved through the kernel's own interfaces; the old
blocks are given up once the new ones were read back. Files that share blocks, are in use as swap,
were just written or have the attribute user.dynamicfs.nodefrag are skipped, each counted by reason.

EXIT STATUS: 0 started (or nothing to do), 2 usage, 10 no such pool, 11 another run is under way,
12 not for this pool, 13 mounted read-only, 18 queue unreachable, 21 not registered, 25 not mounted, 26 no agent;
with --wait also 1 or the code of its error the run failed, 32 all files or extents failed, 64 some, 130 interrupted (the run goes on).`);

  static override examples = [
    '<%= config.bin %> <%= command.id %> --pool /pool --intensity medium',
    '<%= config.bin %> <%= command.id %> --pool /pool --intensity high --threads 4 --once --wait',
    '<%= config.bin %> <%= command.id %> --pool /mnt/data --path db --dry-run',
  ];

  static override flags = {
    pool: poolFlag,
    intensity: intensityFlag({ summary: 'How hard to work.', default: 'low' }),
    slo: sloFlag({
      summary: 'Pause while requests of others to the devices take longer than this on average.',
    }),
    threads: threadsFlag({ summary: 'Extents at a time.', default: 1 }),
    once: Flags.boolean({ summary: 'One run; no passes after it.', default: false }),
    wait: Flags.boolean({ summary: 'Wait for the run to end.', default: false }),
    path: Flags.string({
      summary: 'Of a mounted file system: only this file or subtree, absolute or from the mount.',
      helpValue: 'PATH',
    }),
    'dry-run': Flags.boolean({
      char: 'n',
      summary: 'Of a mounted file system: say what would be moved; change nothing.',
      default: false,
    }),
    verify: Flags.boolean({
      summary: 'Of a mounted file system: read moved files back and compare.',
      default: true,
      allowNo: true,
    }),
    'allow-unshare': Flags.boolean({
      summary: 'Of a mounted file system: move files that share blocks, too; each takes space.',
      default: false,
    }),
    'min-age': Flags.integer({
      summary:
        'Of a mounted file system: leave files alone that were written within so many seconds.',
      default: QUIET_MS_DEFAULT / 1_000,
      min: 0,
      helpValue: 'SECONDS',
    }),
  };

  async run(): Promise<Output<'defrag start'>> {
    const { flags } = await this.parse(DefragStart);
    const { intensity, threads, once, wait } = flags;
    const fileSystem = {
      path: flags.path ?? null,
      verify: flags.verify,
      allowUnshare: flags['allow-unshare'],
      quietMs: flags['min-age'] * 1_000,
    };
    if (flags['dry-run']) {
      const plan = await planDefrag(flags.pool, fileSystem, threads);
      this.log(defragPlanText(plan));
      this.noteError(plan.incomplete);
      if (plan.incomplete) process.exitCode = exitCodeOfError(plan.incomplete);
      return plan;
    }
    const started = await startDefrag(flags.pool, {
      intensity,
      threadCount: threads,
      once,
      sloMs: flags.slo ?? null,
      wait,
      fileSystem,
      quiet: this.jsonEnabled(),
      note: (message) => this.note(message),
    });
    const { run } = started;
    this.log(`Defragmentation started with ${intensity} intensity`);
    if (!run) this.log('Nothing is fragmented now');
    else if (wait) {
      const { state, doneCount, skippedCount, failedCount } = run;
      this.log(`Run ${state}: ${doneCount} moved, ${skippedCount} skipped, ${failedCount} failed`);
      for (const line of exclusionLines(run)) this.log(line);
    } else this.log("Use 'defrag-status' to check progress");
    if (wait && run) {
      this.noteError(run.error);
      if (!run.error && run.failedCount > 0) this.note(NEXT_AFTER_FAILURES);
      process.exitCode = exitCodeOfRun(run);
    }
    return started;
  }
}
