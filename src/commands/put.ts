import { Args, Flags } from '@oclif/core';
import { BaseCommand, exitCodeOf, poolFlag } from '../cli/base-command.js';
import { tierFlag } from '../cli/flags.js';
import { counted } from '../cli/printable.js';
import type { Output } from '../cli/schemas.js';
import { storePaths } from '../cli/store-paths.js';
import { formatBytes } from '../domain/units.js';

/** Stores files, directories or standard input as objects. */
export default class Put extends BaseCommand {
  static override summary = 'Store files, directories or standard input.';

  static override description =
    `An object is named after its path from the last component of what was
given: \`put /srv/photos\` stores photos/2024/a.jpg and so on. Symbolic links are stored as links. An
object of the same name is replaced, at one instant. "-" reads standard input and needs --name.

EXIT STATUS: 0 all stored, 2 usage, 10 nothing there, 16 no space, 25 disk away, 32 none stored,
64 some failed.`;

  static override examples = [
    '<%= config.bin %> <%= command.id %> --pool /srv/pool ~/photos notes.txt',
    'pg_dump db | <%= config.bin %> <%= command.id %> --pool /srv/pool - --name backup/db.sql',
  ];

  static override strict = false;
  static override args = {
    path: Args.string({
      required: true,
      description: 'File or directory, or - for standard input.',
    }),
  };

  static override flags = {
    pool: poolFlag,
    name: Flags.string({ summary: 'Name of the object, or prefix of all in the directory.' }),
    tier: tierFlag({ summary: 'Which disks to prefer.', default: 'warm' }),
    replicas: Flags.integer({ summary: "Copies of each extent; else the pool's.", helpValue: 'N' }),
  };

  async run(): Promise<Output<'put'>> {
    const { argv, flags } = await this.parse(Put);
    const report = await storePaths(flags.pool, argv as string[], {
      name: flags.name ?? null,
      tier: flags.tier,
      replicaCount: flags.replicas ?? null,
      quiet: this.jsonEnabled(),
    });
    this.log(`Stored ${counted(report.storedCount, 'object')}, ${formatBytes(report.storedBytes)}`);
    for (const [reason, count] of Object.entries(report.unsupported)) {
      this.note(`Left out ${count}: ${reason}`);
    }
    this.noteFailures(report.failed);
    process.exitCode = exitCodeOf(report.storedCount, report.failed.length);
    return report;
  }
}
