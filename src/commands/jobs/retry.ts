import { Args } from '@oclif/core';
import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { retryJob } from '../../cli/jobs.js';
import type { Output } from '../../cli/schemas.js';
import { jobText } from '../../cli/text-lists.js';

/** Try a failed job again. */
export default class JobsRetry extends BaseCommand {
  static override summary = 'Try a failed job again.';

  static override description =
    'EXIT STATUS: 0 queued again, 2 usage, 10 no such job, 14 it has not failed, 18 queue unreachable.';

  static override examples = ['<%= config.bin %> <%= command.id %> --pool /pool run-12-0-3'];
  static override args = { job: Args.string({ required: true, description: 'Id of the job.' }) };
  static override flags = { pool: poolFlag };

  async run(): Promise<Output<'jobs retry'>> {
    const { args, flags } = await this.parse(JobsRetry);
    const job = await retryJob(flags.pool, args.job);
    this.log(jobText(job));
    return { schemaVersion: 1, job };
  }
}
