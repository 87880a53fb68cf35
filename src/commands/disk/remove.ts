import { Flags } from '@oclif/core';
import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { removeDisk } from '../../cli/disk-removal.js';
import { printable } from '../../cli/printable.js';
import { prose } from '../../cli/prose.js';
import type { Output } from '../../cli/schemas.js';

/** Moves everything off a disk and takes it out of the pool. */
export default class DiskRemove extends BaseCommand {
  static override hiddenAliases = ['remove-disk'];
  static override summary = 'Move all data off a disk, then take it out of the pool.';

  static override description =
    prose(`Every extent is copied to another disk, read back and verified before
it leaves this one. The agent does it; waiting for it can be interrupted, the work goes on.

EXIT STATUS: 0 removed (or under way with --no-wait), 2 usage, 10 no such disk, 11 another is being
removed, 14 too few disks would be left, 16 no room on the others, 64 some extents could not move.`);

  static override examples = [
    '<%= config.bin %> <%= command.id %> --pool /srv/pool --disk /mnt/old',
    '<%= config.bin %> <%= command.id %> --pool /srv/pool --disk /mnt/old --cancel',
  ];

  static override flags = {
    pool: poolFlag,
    disk: Flags.string({
      required: true,
      summary: 'Directory or device of the disk, or the beginning of its id.',
      helpValue: 'PATH',
    }),
    wait: Flags.boolean({ summary: 'Wait until it is gone.', default: true, allowNo: true }),
    cancel: Flags.boolean({ summary: 'Keep the disk after all.', default: false }),
  };

  async run(): Promise<Output<'disk remove'>> {
    const { flags } = await this.parse(DiskRemove);
    const result = await removeDisk(flags.pool, flags.disk, {
      wait: flags.wait,
      cancel: flags.cancel,
      quiet: this.jsonEnabled(),
      note: (message) => this.note(message),
    });
    const path = printable(result.path);
    if (flags.cancel) this.log(`Kept disk ${path}`);
    else if (result.removed) this.log(`Removed disk ${path}`);
    else this.log(`Removing disk ${path}; see 'disk list'`);
    return result;
  }
}
