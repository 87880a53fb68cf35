import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { withPool } from '../../cli/pool-access.js';
import { prose } from '../../cli/prose.js';
import type { Output } from '../../cli/schemas.js';
import { resumeScrub, scrubStatus } from '../../cli/scrub-control.js';

/** Resumes a paused scrub. */
export default class ScrubResume extends BaseCommand {
  static override hiddenAliases = ['scrub-resume'];
  static override summary = 'Resume a paused scrub.';

  static override description = prose(`The agent takes it up within a second.

EXIT STATUS: 0 resumed, 2 usage, 10 nothing runs, 12 not for this pool, 18 queue unreachable, 26 no agent.`);

  static override examples = ['<%= config.bin %> <%= command.id %> --pool /pool'];
  static override flags = { pool: poolFlag };

  async run(): Promise<Output<'scrub resume'>> {
    const { flags } = await this.parse(ScrubResume);
    const status = await withPool(flags.pool, 'write', async (pool) => {
      await resumeScrub(pool, (message) => this.note(message));
      return scrubStatus(pool);
    });
    this.log('Scrub resumed');
    return status;
  }
}
