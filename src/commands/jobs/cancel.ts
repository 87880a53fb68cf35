import { Args } from '@oclif/core';
import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { cancelJob } from '../../cli/jobs.js';
import { prose } from '../../cli/prose.js';
import type { Output } from '../../cli/schemas.js';
import { jobText } from '../../cli/text-lists.js';

/** Cancel a job, or stop the run that it works on. */
export default class JobsCancel extends BaseCommand {
  static override summary = 'Cancel a job, or stop the run that it works on.';

  static override description =
    prose(`A job that waits is removed. One that is active ends after the extent under way, and its run is stopped.

EXIT STATUS: 0 cancelled, 2 usage, 10 no such job, 14 it is over, 18 queue unreachable.`);

  static override examples = ['<%= config.bin %> <%= command.id %> --pool /pool run-12-0-3'];
  static override args = { job: Args.string({ required: true, description: 'Id of the job.' }) };
  static override flags = { pool: poolFlag };

  async run(): Promise<Output<'jobs cancel'>> {
    const { args, flags } = await this.parse(JobsCancel);
    const job = await cancelJob(flags.pool, args.job);
    this.log(jobText(job));
    return { schemaVersion: 1, job };
  }
}
