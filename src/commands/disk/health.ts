import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { diskHealth, diskHealthText } from '../../cli/disk-health.js';
import { withPool } from '../../cli/pool-access.js';
import { prose } from '../../cli/prose.js';
import type { Output } from '../../cli/schemas.js';

/** Shows which disks can be counted on. */
export default class DiskHealth extends BaseCommand {
  static override hiddenAliases = ['disk-health'];
  static override summary =
    'Show which disks can be counted on, and what is done about the others.';

  static override description =
    prose(`A disk that stays away, or errs again and again, is degraded: its
copies do not count, and other disks get new ones. Once it is back its copies are verified, and those
that are good count again. Of each disk it also says what this pool wrote to it and which trims it issued
there, by its own count; whether TRIM reaches the drive; and what smartctl told the agent of it, where
that is installed.

EXIT STATUS: 0 shown, 2 usage, 10 no such pool, 12 not for this pool.`);

  static override examples = ['<%= config.bin %> <%= command.id %> --pool /pool'];
  static override flags = { pool: poolFlag };

  async run(): Promise<Output<'disk health'>> {
    const { flags } = await this.parse(DiskHealth);
    const health = await withPool(flags.pool, 'read', diskHealth);
    this.log(diskHealthText(health));
    return health;
  }
}
