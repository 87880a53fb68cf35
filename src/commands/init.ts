import { Flags } from '@oclif/core';
import { BaseCommand, poolFlag } from '../cli/base-command.js';
import { sizeFlag } from '../cli/flags.js';
import { createPoolWithDisks } from '../cli/pool-setup.js';
import { printable } from '../cli/printable.js';
import { prose } from '../cli/prose.js';
import type { Output } from '../cli/schemas.js';

/** Makes an extent pool. */
export default class Init extends BaseCommand {
  static override summary = 'Make a pool, with disks if any are named.';

  static override description = prose(`The pool directory holds the catalogue; data goes to disks.

EXIT STATUS: 0 made, 2 usage, 11 a pool already, 13 no permission, 16 no space, 23 disk in use.`);

  static override examples = [
    '<%= config.bin %> <%= command.id %> --pool /srv/pool',
    '<%= config.bin %> <%= command.id %> --pool /srv/pool --disk /mnt/a --disk /mnt/b --replicas 2',
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
    capacity: sizeFlag({ summary: 'Capacity of each of these disks.' }),
  };

  async run(): Promise<Output<'init'>> {
    const { flags } = await this.parse(Init);
    const made = await createPoolWithDisks(flags.pool, {
      replicaCount: flags.replicas,
      extentBytes: flags['extent-size'],
      diskPaths: flags.disk ?? [],
      capacityBytes: flags.capacity ?? null,
    });
    this.log(`Made pool ${printable(made.path)}`);
    if (!flags.disk) this.note(`Next: dynamicfs disk add --pool ${made.path} --disk DIRECTORY`);
    return made;
  }
}
