import { Flags } from '@oclif/core';
import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { parseHead, verifyHistory } from '../../cli/history.js';
import { verdictText } from '../../cli/history-text.js';
import { prose } from '../../cli/prose.js';
import type { Output } from '../../cli/schemas.js';

/** Checks that no entry of the ledger was changed, removed or moved. */
export default class HistoryVerify extends BaseCommand {
  static override summary = 'Check that no entry of the ledger was changed, removed or moved.';

  static override description =
    prose(`Computes the chain of hashes anew, from the first entry to the last, and prints its head:
how many entries there are, and the hash of the last. Kept elsewhere and given to --expect later, it
proves that nothing up to it was rewritten, even by somebody who may write to the database.

EXIT STATUS: 0 whole, 1 broken, 2 usage, 10 no such pool.`);

  static override examples = [
    '<%= config.bin %> <%= command.id %> --pool /pool',
    '<%= config.bin %> <%= command.id %> --pool /pool --expect 128:9f86d081…',
  ];

  static override flags = {
    pool: poolFlag,
    expect: Flags.string({
      summary: 'A head that was kept elsewhere.',
      helpValue: 'COUNT:HASH',
    }),
  };

  async run(): Promise<Output<'history verify'>> {
    const { flags } = await this.parse(HistoryVerify);
    const expected = flags.expect === undefined ? null : parseHead(flags.expect);
    const verdict = await verifyHistory(flags.pool, expected);
    this.log(verdictText(flags.pool, verdict));
    if (!verdict.whole) process.exitCode = 1;
    return verdict;
  }
}
