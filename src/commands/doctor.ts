import { BaseCommand, poolFlag } from '../cli/base-command.js';
import { doctorText, examine } from '../cli/doctor.js';
import { prose } from '../cli/prose.js';
import type { Output } from '../cli/schemas.js';

/** Says what stands in the way of maintaining a mounted file system. */
export default class Doctor extends BaseCommand {
  static override summary = 'Say what stands in the way of maintaining a mounted file system.';

  static override description =
    prose(`Walks from the mount down to the disks and names the first layer
that drops discards, with the line that fixes it; which call of the kernel moves files, and what is
skipped; and what else on this machine trims or defragments. The mount need not be registered.

EXIT STATUS: 0 nothing is wrong, 1 there are problems, 2 usage, 12 not a mounted file system, 25 not
mounted.`);

  static override examples = ['<%= config.bin %> <%= command.id %> --pool /mnt/data'];
  static override flags = { pool: poolFlag };

  async run(): Promise<Output<'doctor'>> {
    const { flags } = await this.parse(Doctor);
    const report = examine(flags.pool);
    this.log(doctorText(report));
    if (report.findings.some(({ severity }) => severity === 'problem')) process.exitCode = 1;
    return report;
  }
}
