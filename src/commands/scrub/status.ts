import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { withPool } from '../../cli/pool-access.js';
import { prose } from '../../cli/prose.js';
import type { Output } from '../../cli/schemas.js';
import { scrubStatus } from '../../cli/scrub-control.js';
import { scrubText } from '../../cli/scrub-text.js';

/** Shows how far a scrub is and what is bad now. */
export default class ScrubStatus extends BaseCommand {
  static override hiddenAliases = ['scrub-status'];
  static override summary = 'Show how far the scrub is, and what is bad now.';

  static override description =
    prose(`Of the scrub that is open, or of the last one. --json also has what
happened to replicas of late, by scrubs, repairs and reads.

EXIT STATUS: 0 shown, 2 usage, 10 no such pool, 12 not for this pool.`);

  static override examples = ['<%= config.bin %> <%= command.id %> --pool /pool'];
  static override flags = { pool: poolFlag };

  async run(): Promise<Output<'scrub status'>> {
    const { flags } = await this.parse(ScrubStatus);
    const status = await withPool(flags.pool, 'read', scrubStatus);
    this.log(scrubText(status));
    return status;
  }
}
