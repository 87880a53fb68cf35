import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { resumeDefrag } from '../../cli/defrag-start.js';
import { withAnyPool } from '../../cli/pool-access.js';
import { prose } from '../../cli/prose.js';
import type { Output } from '../../cli/schemas.js';
import { defragStatus } from '../../cli/views.js';

/** Resume a paused run. */
export default class DefragResume extends BaseCommand {
  static override hiddenAliases = ['defrag-resume'];
  static override summary = 'Resume a paused run.';

  static override description = prose(`The agent takes it up within a second.

EXIT STATUS: 0 resumed, 2 usage, 10 nothing runs, 18 queue unreachable, 26 no agent.`);

  static override examples = ['<%= config.bin %> <%= command.id %> --pool /pool'];
  static override flags = { pool: poolFlag };

  async run(): Promise<Output<'defrag resume'>> {
    const { flags } = await this.parse(DefragResume);
    const status = await withAnyPool(flags.pool, 'write', async (pool) => {
      await resumeDefrag(pool, (message) => this.note(message));
      return defragStatus(pool);
    });
    this.log('Defragmentation resumed');
    return status;
  }
}
