import { Flags } from '@oclif/core';
import { BaseCommand, poolFlag } from '../cli/base-command.js';
import { recover } from '../cli/pool-setup.js';
import { counted } from '../cli/printable.js';
import { prose } from '../cli/prose.js';
import type { Output } from '../cli/schemas.js';

/** Rebuilds a lost catalogue from the disks. */
export default class Recover extends BaseCommand {
  static override summary = 'Rebuild a lost catalogue (pool.sqlite) from the disks.';

  static override description =
    prose(`Reads the journal of each disk. One disk is enough to name: it knows the
others. Content is verified when it is read. What was never acknowledged may come back too.

EXIT STATUS: 0 rebuilt, 2 usage, 10 no such disk, 11 the catalogue is still there, 21 not a disk of a
pool, 24 disks of several pools, 25 a disk does not answer, 64 some objects had no replica on any disk that was found.`);

  static override examples = ['<%= config.bin %> <%= command.id %> --pool /srv/pool --disk /mnt/a'];

  static override flags = {
    pool: poolFlag,
    disk: Flags.string({
      required: true,
      multiple: true,
      summary: 'Directory or device of a disk of the pool.',
      helpValue: 'PATH',
    }),
  };

  async run(): Promise<Output<'recover'>> {
    const { flags } = await this.parse(Recover);
    const report = await recover(flags.pool, flags.disk);
    this.log(
      `Recovered ${counted(report.objectCount, 'object')} in ${counted(report.extentCount, 'extent')}`,
    );
    for (const path of report.missingDisks) this.note(`Disk not found: ${path}`);
    for (const name of report.incompleteObjects) this.note(`No replica left of: ${name}`);
    if (report.incompleteObjects.length > 0) process.exitCode = 64;
    return report;
  }
}
