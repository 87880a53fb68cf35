import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { withAnyPool } from '../../cli/pool-access.js';
import { showTrimStatus } from '../../cli/pool-views.js';
import { prose } from '../../cli/prose.js';
import type { Output } from '../../cli/schemas.js';
import { resumeTrim } from '../../cli/trim-now.js';

/** Resumes a paused trim. */
export default class TrimResume extends BaseCommand {
  static override summary = 'Resume a paused trim.';

  static override description = prose(`The agent takes it up within a second, where it was.

EXIT STATUS: 0 resumed, 2 usage, 10 nothing runs, 18 queue unreachable, 26 no agent.`);

  static override examples = ['<%= config.bin %> <%= command.id %> --pool /pool'];
  static override flags = { pool: poolFlag };

  async run(): Promise<Output<'trim resume'>> {
    const { flags } = await this.parse(TrimResume);
    await withAnyPool(flags.pool, 'write', (pool) =>
      resumeTrim(pool, (message) => this.note(message)),
    );
    this.log('TRIM resumed');
    return await showTrimStatus(flags.pool);
  }
}
