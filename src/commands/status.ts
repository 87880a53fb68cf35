import { Flags } from '@oclif/core';
import { BaseCommand, poolFlag } from '../cli/base-command.js';
import { fsStatusText } from '../cli/fs-text.js';
import { showStatus } from '../cli/pool-views.js';
import { prose } from '../cli/prose.js';
import type { Output } from '../cli/schemas.js';
import { statusText } from '../cli/text.js';

/** Shows what a pool holds and what is being done to it. */
export default class Status extends BaseCommand {
  static override summary = 'Show what the pool holds and what is being done to it.';

  static override description =
    prose(`--audit also proves that every byte of every disk is in exactly one place
and that no extent is short of replicas.

EXIT STATUS: 0 shown, 1 the audit found problems, 2 usage, 10 no such pool, 12 no audit of a
mount, 21 not a pool.`);

  static override examples = ['<%= config.bin %> <%= command.id %> --pool /srv/pool --audit'];

  static override flags = {
    pool: poolFlag,
    audit: Flags.boolean({ summary: 'Check the accounting of every byte.', default: false }),
  };

  async run(): Promise<Output<'status'>> {
    const { flags } = await this.parse(Status);
    const status = await showStatus(flags.pool, flags.audit);
    if (status.kind === 'file-system') {
      this.log(fsStatusText(status));
      return status;
    }
    this.log(statusText(status));
    if ((status.auditProblems ?? []).length > 0) process.exitCode = 1;
    return status;
  }
}
