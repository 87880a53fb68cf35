import { Flags } from '@oclif/core';
import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { sizeFlag } from '../../cli/flags.js';
import { prose } from '../../cli/prose.js';
import type { Output } from '../../cli/schemas.js';
import { setTrim } from '../../cli/trim-now.js';
import { TRIM_INTENSITIES, type TrimIntensity } from '../../domain/trim-schedule.js';
import { formatBytes } from '../../domain/units.js';

/** Says when the agent trims by itself, and how. */
export default class TrimSet extends BaseCommand {
  static override summary = 'Set when the agent trims by itself, and how.';

  static override description =
    prose(`conservative: at 10 GB pending or weekly; balanced: at 1 GB or daily;
aggressive: at 10 MB or hourly. Only what is given is changed.

EXIT STATUS: 0 set, 2 usage, 10 no such pool.`);

  static override examples = [
    '<%= config.bin %> <%= command.id %> --pool /pool --intensity aggressive --batch-size 200M',
    '<%= config.bin %> <%= command.id %> --pool /pool --no-automatic',
  ];

  static override flags = {
    pool: poolFlag,
    intensity: Flags.option({ options: TRIM_INTENSITIES, summary: 'When a trim is due.' })(),
    'batch-size': sizeFlag({ summary: 'Bytes in one batch, 50M to 500M.' }),
    'secure-erase': Flags.boolean({ summary: 'Overwrite before discarding.', allowNo: true }),
    automatic: Flags.boolean({ summary: 'Trim without being told.', allowNo: true }),
  };

  async run(): Promise<Output<'trim set'>> {
    const { flags } = await this.parse(TrimSet);
    const settings = await setTrim(flags.pool, {
      intensity: (flags.intensity as TrimIntensity | undefined) ?? null,
      batchBytes: flags['batch-size'] ?? null,
      secureErase: flags['secure-erase'] ?? null,
      enabled: flags.automatic ?? null,
    });
    const { intensity, batchBytes, secureErase, enabled } = settings;
    this.log(`Automatic TRIM: ${enabled ? intensity : 'off'}`);
    this.log(`  Batches of ${formatBytes(batchBytes)}, secure erase ${secureErase ? 'on' : 'off'}`);
    return settings;
  }
}
