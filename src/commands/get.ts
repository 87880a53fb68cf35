import { Args, Flags } from '@oclif/core';
import { BaseCommand, exitCodeOf, poolFlag } from '../cli/base-command.js';
import { fetchObjects } from '../cli/fetch-objects.js';
import { counted } from '../cli/printable.js';
import { prose } from '../cli/prose.js';
import type { Output } from '../cli/schemas.js';
import { MaintenanceError } from '../domain/errors.js';
import { formatBytes } from '../domain/units.js';

/** Reads objects back as files, or one to standard output. */
export default class Get extends BaseCommand {
  static override summary = 'Read an object, or all below a name, back as files.';

  static override description =
    prose(`Every byte is verified against its checksum; a bad replica is passed over
for a good one. A file appears under its name when it is whole. "-" writes to standard output.

EXIT STATUS: 0 all read, 2 usage, 10 no such object, 11 destination exists, 15 no good replica,
25 disk away, 32 none read, 64 some failed.`);

  static override examples = [
    '<%= config.bin %> <%= command.id %> --pool /srv/pool photos /tmp/photos',
    '<%= config.bin %> <%= command.id %> --pool /srv/pool backup/db.sql - | psql db',
  ];

  static override args = {
    name: Args.string({ required: true, description: 'Object, or prefix of several.' }),
    destination: Args.string({
      description: 'File or directory to write, or -; else the last part of the name, here.',
    }),
  };

  static override flags = {
    pool: poolFlag,
    force: Flags.boolean({ summary: 'Replace files that exist.', default: false }),
  };

  async run(): Promise<Output<'get'>> {
    const { args, flags } = await this.parse(Get);
    if (args.destination === '-' && this.jsonEnabled()) throw twoOutputs();
    const report = await fetchObjects(flags.pool, args.name, args.destination ?? null, {
      force: flags.force,
      quiet: this.jsonEnabled(),
    });
    if (args.destination !== '-') {
      this.log(`Read ${counted(report.objectCount, 'object')}, ${formatBytes(report.readBytes)}`);
    }
    this.noteFailures(report.failed);
    process.exitCode = exitCodeOf(report.objectCount, report.failed.length);
    return report;
  }
}

function twoOutputs(): MaintenanceError {
  return new MaintenanceError('ERR_USAGE', '--json and - both want standard output', {
    nextStep: 'Leave out --json, or name a file to write.',
  });
}
