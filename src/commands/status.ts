import { Flags } from '@oclif/core';
import { BaseCommand, poolFlag } from '../cli/base-command.js';
import { withPool } from '../cli/pool-access.js';
import { prose } from '../cli/prose.js';
import type { Output } from '../cli/schemas.js';
import { statusText } from '../cli/text.js';
import { poolStatus } from '../cli/views.js';

/** Shows what a pool holds and what is being done to it. */
export default class Status extends BaseCommand {
  static override summary = 'Show what the pool holds and what is being done to it.';

  static override description =
    prose(`--audit also proves that every byte of every disk is in exactly one place
and that no extent is short of replicas.

EXIT STATUS: 0 shown, 1 the audit found problems, 2 usage, 10 no such pool, 21 not a pool.`);

  static override examples = ['<%= config.bin %> <%= command.id %> --pool /srv/pool --audit'];

  static override flags = {
    pool: poolFlag,
    audit: Flags.boolean({ summary: 'Check the accounting of every byte.', default: false }),
  };

  async run(): Promise<Output<'status'>> {
    const { flags } = await this.parse(Status);
    const status = await withPool(flags.pool, 'read', (pool) => poolStatus(pool, flags.audit));
    this.log(statusText(status));
    if ((status.auditProblems ?? []).length > 0) process.exitCode = 1;
    return status;
  }
}
