import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { fsDisksText } from '../../cli/fs-text.js';
import { listDisks } from '../../cli/pool-views.js';
import type { Output } from '../../cli/schemas.js';
import { disksText } from '../../cli/text.js';

/** Lists the disks of a pool. */
export default class DiskList extends BaseCommand {
  static override hiddenAliases = ['list-disks'];
  static override summary = 'List the disks of the pool and what they hold.';

  static override description =
    'EXIT STATUS: 0 listed, 2 usage, 10 no such pool, 21 not a pool, 22 newer version.';

  static override examples = ['<%= config.bin %> <%= command.id %> --pool /srv/pool'];
  static override flags = { pool: poolFlag };

  async run(): Promise<Output<'disk list'>> {
    const { flags } = await this.parse(DiskList);
    const list = await listDisks(flags.pool);
    this.log(list.kind === 'extent' ? disksText(list.disks) : fsDisksText(list));
    return list;
  }
}
