import { Args, Flags } from '@oclif/core';
import { BaseCommand, poolFlag } from '../cli/base-command.js';
import { withPool } from '../cli/pool-access.js';
import { counted } from '../cli/printable.js';
import { prose } from '../cli/prose.js';
import type { Output } from '../cli/schemas.js';
import { formatBytes } from '../domain/units.js';

/** Deletes objects. */
export default class Rm extends BaseCommand {
  static override summary = 'Delete an object, or all below a name.';

  static override description =
    prose(`The space waits for a trim, and is given back to the disks by it.

EXIT STATUS: 0 deleted, 2 usage, 10 no such object.`);

  static override examples = [
    '<%= config.bin %> <%= command.id %> --pool /srv/pool photos/2019 --recursive',
  ];

  static override args = {
    name: Args.string({ required: true, description: 'Object or prefix.' }),
  };

  static override flags = {
    pool: poolFlag,
    recursive: Flags.boolean({
      char: 'r',
      summary: 'Delete all below the name too.',
      default: false,
    }),
  };

  async run(): Promise<Output<'rm'>> {
    const { args, flags } = await this.parse(Rm);
    const report = await withPool(flags.pool, 'write', (pool) =>
      pool.remove(args.name.replace(/\/+$/, ''), flags.recursive),
    );
    this.log(
      `Deleted ${counted(report.objectCount, 'object')}, ${formatBytes(report.freedBytes)} on disk`,
    );
    return { schemaVersion: 1, ...report };
  }
}
