import { Flags } from '@oclif/core';
import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { sizeFlag, tierFlag } from '../../cli/flags.js';
import { addDiskToPool } from '../../cli/pool-setup.js';
import { printable } from '../../cli/printable.js';
import { prose } from '../../cli/prose.js';
import type { Output } from '../../cli/schemas.js';
import { shortId } from '../../cli/text.js';
import { formatBytes } from '../../domain/units.js';

const PLACES = ['disk', 'device'];

/** Adds a directory or a block device to a pool as a disk. */
export default class DiskAdd extends BaseCommand {
  static override hiddenAliases = ['add-disk'];
  static override summary = 'Add a directory or a block device to the pool as a disk.';

  static override description =
    prose(`A directory gets one sparse file, which grows as data comes in. A device is used as a
whole, without a file system.

A device that is mounted, or held by another program, is refused. So is one that carries a file system,
a partition table or anything else that is known; --force overwrites that.

EXIT STATUS: 0 added, 2 usage, 10 no such pool, 13 no permission, 16 no space, 23 in a pool already,
25 it does not answer, 27 device mounted or held, 28 device not empty.`);

  static override examples = [
    '<%= config.bin %> <%= command.id %> --pool /srv/pool --disk /mnt/ssd1 --capacity 500G --tier hot',
    '<%= config.bin %> <%= command.id %> --pool /srv/pool --device /dev/sdb',
  ];

  static override flags = {
    pool: poolFlag,
    disk: Flags.string({
      summary: 'Directory of the disk.',
      helpValue: 'PATH',
      exactlyOne: PLACES,
    }),
    device: Flags.string({ summary: 'Block device.', helpValue: 'DEVICE', exactlyOne: PLACES }),
    force: Flags.boolean({ summary: 'Overwrite what the device carries.', default: false }),
    capacity: sizeFlag({
      summary: 'Most that a directory may hold; else what its file system has free now.',
    }),
    tier: tierFlag({ summary: 'Which data it is for.', default: 'warm' }),
  };

  async run(): Promise<Output<'disk add'>> {
    const { argv, isDevice } = withoutBareDevice(this.argv);
    const { flags } = await this.parse(DiskAdd, argv);
    const disk = await addDiskToPool(flags.pool, {
      path: flags.device ?? flags.disk ?? '',
      isDevice: isDevice || flags.device !== undefined,
      force: flags.force,
      capacityBytes: flags.capacity ?? null,
      tier: flags.tier,
    });
    this.log(
      `Added disk ${shortId(disk.diskId)}: ${printable(disk.path)}, ${formatBytes(disk.capacityBytes)}`,
    );
    return { schemaVersion: 1, disk };
  }
}

/** The specification also has `--disk /dev/sdb --device`, which says what the path is. */
function withoutBareDevice(given: readonly string[]): { argv: string[]; isDevice: boolean } {
  const isBare = (index: number) => (given[index + 1] ?? '-').startsWith('-');
  const argv = given.filter((word, index) => word !== '--device' || !isBare(index));
  return { argv, isDevice: argv.length < given.length };
}
