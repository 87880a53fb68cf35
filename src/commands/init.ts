import { Flags } from '@oclif/core';
import { BaseCommand, poolFlag } from '../cli/base-command.js';
import { sizeFlag } from '../cli/flags.js';
import { isMountToRegister, registerFileSystem } from '../cli/fs-setup.js';
import { createPoolWithDisks } from '../cli/pool-setup.js';
import { printable } from '../cli/printable.js';
import { prose } from '../cli/prose.js';
import type { Output } from '../cli/schemas.js';

/** Makes an extent pool, or registers a mounted file system. */
export default class Init extends BaseCommand {
  static override summary = 'Make a pool, with disks if any are named, or register a mount as one.';

  static override description = prose(`The pool directory holds the catalogue; data goes to disks.

The mount point of an ext4, XFS or Btrfs is registered as a pool of its own kind: its files stay where
they are, and nothing is written to it.

EXIT STATUS: 0 made, 2 usage, 10 not a mount point, 11 a pool already, 12 unsupported file system, 13 no permission, 16 no space, 23 disk in use,
25 a disk does not answer, 27 device mounted or held, 28 device not empty.`);

  static override examples = [
    '<%= config.bin %> <%= command.id %> --pool /srv/pool',
    '<%= config.bin %> <%= command.id %> --pool /srv/pool --disk /mnt/a --disk /mnt/b --replicas 2',
    '<%= config.bin %> <%= command.id %> --pool /mnt/data',
  ];

  static override flags = {
    pool: poolFlag,
    replicas: Flags.integer({
      summary: 'Copies of each extent, each on its own disk.',
      default: 1,
      helpValue: 'N',
    }),
    'extent-size': sizeFlag({
      summary: 'Size of an extent, 1M to 64M.',
      default: 4 * 1024 * 1024,
      defaultHelp: async () => '4M',
    }),
    disk: Flags.string({
      summary: 'Directory to use as a disk.',
      multiple: true,
      helpValue: 'PATH',
    }),
    device: Flags.string({
      summary: 'Block device to use as a disk, as a whole.',
      multiple: true,
      helpValue: 'DEVICE',
    }),
    force: Flags.boolean({
      summary: 'Overwrite what the devices carry.',
      default: false,
    }),
    filesystem: Flags.boolean({
      summary: 'The path is a mounted file system to maintain; an extent pool is not made.',
      default: false,
    }),
    capacity: sizeFlag({ summary: 'Capacity of each of these directories.' }),
  };

  async run(): Promise<Output<'init'>> {
    const { flags } = await this.parse(Init);
    const hasDisks = flags.disk !== undefined || flags.device !== undefined;
    if (isMountToRegister(flags.pool, { asked: flags.filesystem, hasDisks })) {
      const made = registerFileSystem(flags.pool);
      const { fsType, path, isNew } = made;
      this.log(`${isNew ? 'Registered' : 'Already registered:'} ${fsType} on ${printable(path)}`);
      return made;
    }
    const made = await createPoolWithDisks(flags.pool, {
      replicaCount: flags.replicas,
      extentBytes: flags['extent-size'],
      diskPaths: flags.disk ?? [],
      devicePaths: flags.device ?? [],
      force: flags.force,
      capacityBytes: flags.capacity ?? null,
    });
    this.log(`Made pool ${printable(made.path)}`);
    if (!hasDisks) this.note(`Next: dynamicfs disk add --pool ${made.path} --disk DIRECTORY`);
    return made;
  }
}
