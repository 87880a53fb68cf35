import { Flags } from '@oclif/core';
import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { listExtents } from '../../cli/extent-views.js';
import { tierFlag } from '../../cli/flags.js';
import { withPool } from '../../cli/pool-access.js';
import type { Output } from '../../cli/schemas.js';
import { extentsText } from '../../cli/text-lists.js';

/** Lists extents with their replicas, fragments and heat. */
export default class ExtentList extends BaseCommand {
  static override hiddenAliases = ['list-extents'];
  static override summary = 'List extents with their replicas, fragments and heat.';
  static override description = 'EXIT STATUS: 0 listed, 2 usage, 10 no such pool or object.';

  static override examples = [
    '<%= config.bin %> <%= command.id %> --pool /srv/pool --fragmented',
    '<%= config.bin %> <%= command.id %> --pool /srv/pool --object photos/a.jpg --json',
  ];

  static override flags = {
    pool: poolFlag,
    object: Flags.string({ summary: 'Only extents of this object.', helpValue: 'NAME' }),
    tier: tierFlag({ summary: 'Only extents placed for this tier.' }),
    fragmented: Flags.boolean({ summary: 'Only extents in more than one piece.', default: false }),
    limit: Flags.integer({ summary: 'Most extents to list.', default: 1000, min: 1 }),
  };

  async run(): Promise<Output<'extent list'>> {
    const { flags } = await this.parse(ExtentList);
    const { extents, truncated } = await withPool(flags.pool, 'read', (pool) =>
      listExtents(pool, {
        object: flags.object ?? null,
        tier: flags.tier ?? null,
        fragmented: flags.fragmented,
        limit: flags.limit,
      }),
    );
    this.log(extentsText(extents));
    if (truncated) this.note(`Only the first ${flags.limit}; see --limit.`);
    return { schemaVersion: 1, truncated, extents };
  }
}
