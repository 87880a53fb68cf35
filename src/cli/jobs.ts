/** `jobs`: a look into the queues of a pool, and the few things that may be done to a job. */

import type { Job } from 'bullmq';
import { MaintenanceError } from '../domain/errors.js';
import { isOpen } from '../domain/runs.js';
import type { ExtentPool } from '../pool/extent-pool/extent-pool.js';
import type { FsPool } from '../pool/fs-pool/fs-pool.js';
import { stopReclamation } from '../pool/reclamation.js';
import type { PoolQueues } from '../queue/pool-queues.js';
import { withAnyPool } from './pool-access.js';
import { linkQueue } from './queue-link.js';
import { groundOf } from './reclamation-control.js';
import type { JobView } from './schemas.js';

export const JOB_STATES = [
  'active',
  'waiting',
  'waiting-children',
  'prioritized',
  'delayed',
  'completed',
  'failed',
] as const;
export type JobStateName = (typeof JOB_STATES)[number];

type AnyPool = ExtentPool | FsPool;

export function listJobs(
  poolPath: string,
  states: readonly JobStateName[],
  limit: number,
): Promise<JobView[]> {
  return withQueues(poolPath, async (pool, queues) => {
    const jobs = await queues.jobs(states.length > 0 ? states : JOB_STATES, limit);
    const views = await Promise.all(jobs.map((job) => jobView(pool, job)));
    return views.sort((a, b) => b.addedAtMs - a.addedAtMs);
  });
}

export function showJob(poolPath: string, jobId: string): Promise<JobView> {
  return withQueues(poolPath, async (pool, queues) => jobView(pool, await find(queues, jobId)));
}

export function retryJob(poolPath: string, jobId: string): Promise<JobView> {
  return withQueues(poolPath, async (pool, queues) => {
    const job = await find(queues, jobId);
    const state = await job.getState();
    if (state !== 'failed') throw wrongState(jobId, state, 'Only failed jobs can be tried again.');
    await job.retry('failed');
    return await jobView(pool, job);
  });
}

export function cancelJob(poolPath: string, jobId: string): Promise<JobView> {
  return withQueues(poolPath, async (pool, queues) => {
    const job = await find(queues, jobId);
    const state = await job.getState();
    if (state === 'completed' || state === 'failed') throw wrongState(jobId, state, 'It is over.');
    if (job.repeatJobKey !== undefined) throw scheduled(jobId);
    const view = await jobView(pool, job);
    // First the run, whose next batch the agent would queue at once.
    const isFlow = stopReclamationOf(pool, job);
    stopRunOf(pool, job);
    // The jobs of a flow end by themselves, one after the other.
    if (state !== 'active' && !isFlow) await job.remove();
    return { ...view, state: state === 'active' || isFlow ? 'cancelling' : 'cancelled' };
  });
}

/** A step is not cancelled by itself. @returns whether the job is of a reclamation. */
function stopReclamationOf(pool: AnyPool, job: Job): boolean {
  if (job.data?.kind !== 'phase') return false;
  const open = pool.context.store.reclamations.open();
  if (open && open.reclamationId === job.data.reclamationId) stopReclamation(groundOf(pool));
  return true;
}

function stopRunOf(pool: AnyPool, job: Job): void {
  const runId: unknown = job.data?.runId;
  const { store, clock } = pool.context;
  const extents = pool.kind === 'extent' ? pool.context.store : null;
  const run = typeof runId === 'number' ? store.runs.get(runId) : null;
  if (!run || !isOpen(run.state)) return;
  store.transaction(() => {
    store.runs.setState(run.runId, 'stopped', clock());
    if (run.kind === 'defrag') store.settings.write({ defragEnabled: false });
    if (run.diskId !== null && run.kind === 'evacuate')
      extents?.disks.setEvacuating(run.diskId, false);
  });
}

function withQueues<T>(
  poolPath: string,
  body: (pool: AnyPool, queues: PoolQueues) => Promise<T>,
): Promise<T> {
  return withAnyPool(poolPath, 'write', async (pool) => {
    const link = await linkQueue(pool, (message) => process.stderr.write(`${message}\n`));
    try {
      return await body(pool, link.queues);
    } finally {
      await link.close();
    }
  });
}

async function find(queues: PoolQueues, jobId: string): Promise<Job> {
  const job = await queues.job(jobId);
  if (job) return job;
  throw new MaintenanceError('ERR_TARGET_NOT_FOUND', `no job ${jobId}`, {
    nextStep: 'List them with `dynamicfs jobs list`; jobs that are over are kept for a while only.',
  });
}

async function jobView(pool: AnyPool, job: Job): Promise<JobView> {
  return {
    jobId: job.id ?? '',
    poolId: pool.id,
    queue: job.queueName,
    state: await job.getState(),
    attempts: job.attemptsMade,
    addedAtMs: job.timestamp,
    finishedAtMs: job.finishedOn ?? null,
    data: job.data,
    result: job.returnvalue ?? null,
    error: job.failedReason ?? null,
  };
}

function wrongState(jobId: string, state: string, nextStep: string): MaintenanceError {
  return new MaintenanceError('ERR_POLICY_REFUSED', `job ${jobId} is ${state}`, { nextStep });
}

function scheduled(jobId: string): MaintenanceError {
  return new MaintenanceError('ERR_POLICY_REFUSED', `job ${jobId} belongs to a schedule`, {
    nextStep: 'Turn off what it does: `dynamicfs defrag stop`, or `trim set --no-automatic`.',
  });
}
