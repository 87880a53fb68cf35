import { Args, Flags } from '@oclif/core';
import { BaseCommand, poolFlag } from '../cli/base-command.js';
import { withPool } from '../cli/pool-access.js';
import { counted } from '../cli/printable.js';
import { prose } from '../cli/prose.js';
import type { Output } from '../cli/schemas.js';
import { formatBytes } from '../domain/units.js';

/** Deletes objects. */
export default class Rm extends BaseCommand {
  static override summary = 'Delete objects, or all below a name.';

  static override description =
    prose(`The space waits for a trim, and is given back to the disks by it. When one of the names
is not there, nothing is deleted.

EXIT STATUS: 0 deleted, 2 usage, 10 no such object.`);

  static override examples = [
    '<%= config.bin %> <%= command.id %> --pool /srv/pool photos/2019 --recursive',
    '<%= config.bin %> <%= command.id %> --pool /srv/pool notes.txt backup/db.sql',
  ];

  static override strict = false;

  static override args = {
    name: Args.string({ required: true, description: 'Object or prefix; several are possible.' }),
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
    const { argv, flags } = await this.parse(Rm);
    const names = (argv as string[]).map((name) => name.replace(/\/+$/, ''));
    const report = await withPool(flags.pool, 'write', (pool) =>
      pool.remove(names, flags.recursive),
    );
    this.log(
      `Deleted ${counted(report.objectCount, 'object')}, ${formatBytes(report.freedBytes)} on disk`,
    );
    return { schemaVersion: 1, ...report };
  }
}
