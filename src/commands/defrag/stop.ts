import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { withAnyPool } from '../../cli/pool-access.js';
import { prose } from '../../cli/prose.js';
import { stopDefrag } from '../../cli/run-control.js';
import type { Output } from '../../cli/schemas.js';
import { defragStatus } from '../../cli/views.js';

/** Stop defragmentation, after the extent under way. */
export default class DefragStop extends BaseCommand {
  static override hiddenAliases = ['defrag-stop'];
  static override summary = 'Stop defragmentation, after the extent under way.';

  static override description = prose(`Also ends the passes every 60 s. What was moved stays moved.

EXIT STATUS: 0 stopped (or nothing ran), 2 usage, 10 no such pool.`);

  static override examples = ['<%= config.bin %> <%= command.id %> --pool /pool'];
  static override flags = { pool: poolFlag };

  async run(): Promise<Output<'defrag stop'>> {
    const { flags } = await this.parse(DefragStop);
    const [stopped, status] = await withAnyPool(flags.pool, 'write', (pool) => [
      stopDefrag(pool),
      defragStatus(pool),
    ]);
    this.log(stopped ? 'Defragmentation stopped' : 'Defragmentation stopped; nothing was running');
    return status;
  }
}
