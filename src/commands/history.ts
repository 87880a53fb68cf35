import { Flags } from '@oclif/core';
import { BaseCommand, poolFlag } from '../cli/base-command.js';
import { parseEvent, parseSinceMs, printHistory } from '../cli/history.js';
import { prose } from '../cli/prose.js';

const LIMIT_DEFAULT = 50;

/** Shows what was done to a pool, by whom and why, the newest last. */
export default class History extends BaseCommand {
  static override summary = 'Show what was done to a pool, by whom and why, with figures.';

  static override description =
    prose(`Reads the pool's ledger, the newest last. --json has every figure of each entry, one entry
a line. docs/ledger.md says what is entered.

EXIT STATUS: 0 shown, 2 usage, 10 no such pool.`);

  static override examples = [
    '<%= config.bin %> <%= command.id %> --pool /pool',
    '<%= config.bin %> <%= command.id %> --pool /pool --since 7d --event run-ended --json',
  ];

  static override flags = {
    pool: poolFlag,
    limit: Flags.integer({
      summary: 'The newest so many.',
      helpValue: 'N',
      default: LIMIT_DEFAULT,
      min: 1,
      exclusive: ['all'],
    }),
    all: Flags.boolean({ summary: 'All of them.' }),
    since: Flags.string({
      summary: 'From this time on (UTC), or so long ago.',
      helpValue: '2026-11-01T10:30|7d',
    }),
    event: Flags.string({ summary: 'Only these events.', helpValue: 'run-ended|policy-set|…' }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(History);
    const filter = {
      ...(flags.all ? {} : { limit: flags.limit }),
      ...(flags.since === undefined ? {} : { sinceMs: parseSinceMs(flags.since, Date.now()) }),
      ...(flags.event === undefined ? {} : { event: parseEvent(flags.event) }),
    };
    const shown = await printHistory(flags.pool, filter, this.jsonEnabled());
    if (shown === 0) this.note('No entries.');
    if (!flags.all && shown === flags.limit) this.note('There may be older ones: see --all.');
  }
}
