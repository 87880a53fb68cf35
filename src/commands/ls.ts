import { Args } from '@oclif/core';
import { BaseCommand, poolFlag } from '../cli/base-command.js';
import { withPool } from '../cli/pool-access.js';
import type { Output } from '../cli/schemas.js';
import { objectsText } from '../cli/text-lists.js';

/** Lists objects. */
export default class Ls extends BaseCommand {
  static override summary = 'List objects.';
  static override description =
    'EXIT STATUS: 0 listed (also when there is nothing), 2 usage, 10 no such pool.';
  static override examples = ['<%= config.bin %> <%= command.id %> --pool /srv/pool photos'];
  static override args = {
    prefix: Args.string({ description: 'Only this object and those below it.' }),
  };
  static override flags = { pool: poolFlag };

  async run(): Promise<Output<'ls'>> {
    const { args, flags } = await this.parse(Ls);
    const prefix = (args.prefix ?? '').replace(/\/+$/, '');
    const objects = await withPool(flags.pool, 'read', (pool) => pool.list(prefix));
    if (objects.length > 0) this.log(objectsText(objects));
    return { schemaVersion: 1, objects };
  }
}
