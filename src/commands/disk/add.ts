import { Flags } from '@oclif/core';
import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { sizeFlag, tierFlag } from '../../cli/flags.js';
import { addDiskToPool } from '../../cli/pool-setup.js';
import { printable } from '../../cli/printable.js';
import { prose } from '../../cli/prose.js';
import type { Output } from '../../cli/schemas.js';
import { shortId } from '../../cli/text.js';
import { formatBytes } from '../../domain/units.js';

/** Adds a directory to a pool as a disk. */
export default class DiskAdd extends BaseCommand {
  static override hiddenAliases = ['add-disk'];
  static override summary = 'Add a directory to the pool as a disk.';

  static override description =
    prose(`The directory gets one sparse file, which grows as data comes in.

EXIT STATUS: 0 added, 2 usage, 10 no such pool, 13 no permission, 16 no space, 23 in a pool already.`);

  static override examples = [
    '<%= config.bin %> <%= command.id %> --pool /srv/pool --disk /mnt/ssd1 --capacity 500G --tier hot',
  ];

  static override flags = {
    pool: poolFlag,
    disk: Flags.string({ required: true, summary: 'Directory of the disk.', helpValue: 'PATH' }),
    capacity: sizeFlag({
      summary: 'Most that it may hold; else what its file system has free now.',
    }),
    tier: tierFlag({ summary: 'Which data it is for.', default: 'warm' }),
  };

  async run(): Promise<Output<'disk add'>> {
    const { flags } = await this.parse(DiskAdd);
    const disk = await addDiskToPool(flags.pool, flags.disk, {
      capacityBytes: flags.capacity ?? null,
      tier: flags.tier,
    });
    this.log(
      `Added disk ${shortId(disk.diskId)}: ${printable(disk.path)}, ${formatBytes(disk.capacityBytes)}`,
    );
    return { schemaVersion: 1, disk };
  }
}
