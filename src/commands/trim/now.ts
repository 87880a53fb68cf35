import { Flags } from '@oclif/core';
import { BaseCommand, exitCodeOf, poolFlag } from '../../cli/base-command.js';
import { intensityFlag, sloFlag } from '../../cli/flags.js';
import { prose } from '../../cli/prose.js';
import { exitCodeOfError } from '../../cli/report-error.js';
import type { Output } from '../../cli/schemas.js';
import { forecastText, trimNowText } from '../../cli/text.js';
import { forecast, trimNow } from '../../cli/trim-now.js';

/** Gives freed space back to the disks now. */
export default class TrimNow extends BaseCommand {
  static override hiddenAliases = ['trim-now'];
  static override summary = 'Give freed space back to the disks now.';

  static override description =
    prose(`Reclaimed is what the disks were seen to give up, not what they were asked
for. What fails stays pending and is tried again later. A mounted file system is trimmed in windows;
what was trimmed before and not used since is left out.

EXIT STATUS: 0 done (or nothing pending), 2 usage, 10 no such pool or disk, 11 another agent works on
the file system, 12 not for this pool, or its disks take no discards, 13 mounted read-only, 18 queue unreachable, 21 not registered, 25 not mounted, 26 no agent, 32 all discards failed, 64 some failed, 130 interrupted (the run goes on).`);

  static override examples = [
    '<%= config.bin %> <%= command.id %> --pool /pool',
    '<%= config.bin %> <%= command.id %> --pool /pool --disk /mnt/a --dry-run',
  ];

  static override flags = {
    pool: poolFlag,
    disk: Flags.string({
      summary: 'Only this disk: its path, or the beginning of its id; of a mount, a device.',
      helpValue: 'PATH',
    }),
    'dry-run': Flags.boolean({
      char: 'n',
      summary: 'Say what would be freed; change nothing.',
      default: false,
    }),
    intensity: intensityFlag({
      summary: 'Of a mounted file system: how much to rest between windows.',
      default: 'medium',
    }),
    slo: sloFlag({
      summary: 'Pause while requests of others to the devices take longer than this on average.',
    }),
    'secure-erase': Flags.boolean({
      summary: 'Overwrite with zeros before discarding.',
      default: false,
    }),
  };

  async run(): Promise<Output<'trim now'>> {
    const { flags } = await this.parse(TrimNow);
    const disk = flags.disk ?? null;
    if (flags['dry-run']) {
      const plan = await forecast(flags.pool, disk);
      this.log(forecastText(plan));
      return plan;
    }
    const result = await trimNow(flags.pool, {
      disk,
      secureErase: flags['secure-erase'],
      intensity: flags.intensity,
      sloMs: flags.slo ?? null,
      quiet: this.jsonEnabled(),
      note: (message) => this.note(message),
    });
    this.log(trimNowText(result));
    const { doneCount, failedCount, state, error } = result.run;
    const hasOwnCode = state === 'failed' && error !== null;
    process.exitCode = hasOwnCode ? exitCodeOfError(error) : exitCodeOf(doneCount, failedCount);
    this.noteError(error);
    return result;
  }
}
