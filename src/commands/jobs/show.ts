import { Args } from '@oclif/core';
import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { showJob } from '../../cli/jobs.js';
import type { Output } from '../../cli/schemas.js';
import { jobText } from '../../cli/text-lists.js';

/** Show one job, with its data and what came of it. */
export default class JobsShow extends BaseCommand {
  static override summary = 'Show one job, with its data and what came of it.';

  static override description =
    'EXIT STATUS: 0 shown, 2 usage, 10 no such job, 18 queue unreachable.';

  static override examples = ['<%= config.bin %> <%= command.id %> --pool /pool run-12-0-3'];
  static override args = { job: Args.string({ required: true, description: 'Id of the job.' }) };
  static override flags = { pool: poolFlag };

  async run(): Promise<Output<'jobs show'>> {
    const { args, flags } = await this.parse(JobsShow);
    const job = await showJob(flags.pool, args.job);
    this.log(jobText(job));
    return { schemaVersion: 1, job };
  }
}
