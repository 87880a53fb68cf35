import { Flags } from '@oclif/core';
import { BaseCommand, exitCodeOfRun, poolFlag } from '../../cli/base-command.js';
import { intensityFlag, threadsFlag } from '../../cli/flags.js';
import { prose } from '../../cli/prose.js';
import type { Output } from '../../cli/schemas.js';
import { startScrub } from '../../cli/scrub-control.js';
import { scrubText } from '../../cli/scrub-text.js';

/** Verifies every replica in the background. */
export default class ScrubStart extends BaseCommand {
  static override hiddenAliases = ['scrub', 'scrub-start'];
  static override summary = 'Read and verify every replica, in the background.';

  static override description =
    prose(`Each is read past the page cache and compared with the BLAKE3 of its
extent; what is bad is reported by the name of its object, and repaired with --repair. A scrub that was
stopped goes on where it was, unless --from-start. Starting again changes intensity, threads and --repair.

EXIT STATUS: 0 started, 2 usage, 10 no such pool or disk, 11 a scrub of other disks is under way,
12 not for this pool, 18 queue unreachable, 26 no agent; with --wait also 1 or the code of its error the scrub failed,
64 bad replicas were left, 130 interrupted (the scrub goes on).`);

  static override examples = [
    '<%= config.bin %> <%= command.id %> --pool /pool --repair',
    '<%= config.bin %> <%= command.id %> --pool /pool --intensity high --threads 2 --wait',
  ];

  static override flags = {
    pool: poolFlag,
    repair: Flags.boolean({ summary: 'Repair what is bad.', default: false }),
    disk: Flags.string({
      summary: 'Only replicas on this disk: its path or the beginning of its id.',
      helpValue: 'PATH',
    }),
    intensity: intensityFlag({ summary: 'How hard to work.', default: 'medium' }),
    threads: threadsFlag({ summary: 'Threads that read and hash.', default: 2 }),
    'from-start': Flags.boolean({
      summary: 'Do not go on where a stopped scrub ended.',
      default: false,
    }),
    wait: Flags.boolean({ summary: 'Wait for the scrub to end.', default: false }),
  };

  async run(): Promise<Output<'scrub start'>> {
    const { flags } = await this.parse(ScrubStart);
    const status = await startScrub(flags.pool, {
      repair: flags.repair,
      disk: flags.disk ?? null,
      intensity: flags.intensity,
      threadCount: flags.threads,
      fromStart: flags['from-start'],
      wait: flags.wait,
      quiet: this.jsonEnabled(),
      note: (message) => this.note(message),
    });
    this.log(`Scrub started with ${flags.intensity} intensity`);
    if (status.continuesRunId !== null) this.log('It goes on where the last one was stopped');
    if (!flags.wait) this.log("Use 'scrub status' to check progress");
    else {
      this.log(scrubText(status));
      this.noteError(status.run?.error ?? null);
      if (status.run?.state === 'failed') process.exitCode = exitCodeOfRun(status.run);
      else if (status.replicasBad > status.replicasRepaired) process.exitCode = 64;
    }
    return status;
  }
}
