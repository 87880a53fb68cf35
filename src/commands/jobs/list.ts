import { Flags } from '@oclif/core';
import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { JOB_STATES, listJobs } from '../../cli/jobs.js';
import type { Output } from '../../cli/schemas.js';
import { jobsText } from '../../cli/text-lists.js';

/** Lists jobs in the queues of a pool. */
export default class JobsList extends BaseCommand {
  static override summary = 'List jobs in the queues of the pool.';
  static override description =
    'EXIT STATUS: 0 listed, 2 usage, 10 no such pool, 18 queue unreachable.';
  static override examples = ['<%= config.bin %> <%= command.id %> --pool /pool --state failed'];

  static override flags = {
    pool: poolFlag,
    state: Flags.option({
      options: JOB_STATES,
      multiple: true,
      summary: 'Only jobs in this state.',
    })(),
    limit: Flags.integer({ summary: 'Most jobs of each queue.', default: 50, min: 1 }),
  };

  async run(): Promise<Output<'jobs list'>> {
    const { flags } = await this.parse(JobsList);
    const jobs = await listJobs(flags.pool, flags.state ?? [], flags.limit);
    this.log(jobsText(jobs));
    return { schemaVersion: 1, jobs };
  }
}
