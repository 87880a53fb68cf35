/** Hands a job of a pool's queues to the work that it asks for. */

import { DelayedError, type Job } from 'bullmq';
import type { PoolWork } from '../processors/pool-work.js';
import type { JobKind } from '../queue/names.js';
import { type PhasePayload, parsePayload } from '../queue/payloads.js';

/** How late the job of a step may see that it is over: soon when that is short, as most are. */
const PHASE_LOOK_MS = { first: 50, most: 1_000 } as const;

/**
 * @param token of BullMQ's lock on the job.
 * @param prepare settles what a dead agent left half done; harmless when it is settled.
 * @throws MaintenanceError for what is no job of ours, and what the work throws; DelayedError for a
 *   job that was put back by itself.
 */
export async function dispatchJob(
  work: PoolWork,
  kind: JobKind,
  job: Job,
  token: string,
  prepare: () => Promise<void>,
): Promise<unknown> {
  const { context } = work.pool;
  /** The payload, once it is sure that nobody took the pool over. */
  const owned = <T>(payload: T): T => {
    context.assertOwner();
    return payload;
  };
  switch (kind) {
    case 'analyze': {
      const payload = owned(parsePayload(kind, context.poolId, job.data));
      if (!('kind' in payload)) return await work.analyze();
      if (payload.kind === 'phase') return await lookAtPhase(work, payload, job, token);
      return await work.scrub(payload);
    }
    case 'defrag-batch': {
      const payload = owned(parsePayload(kind, context.poolId, job.data));
      if (payload.kind === 'phase') return await lookAtPhase(work, payload, job, token);
      await prepare();
      return await work.defrag(payload);
    }
    case 'trim-batch': {
      const payload = owned(parsePayload(kind, context.poolId, job.data));
      if (payload.kind === 'phase') return await lookAtPhase(work, payload, job, token);
      return await work.trim(payload);
    }
    case 'policy-tick': {
      const payload = owned(parsePayload(kind, context.poolId, job.data));
      if ('kind' in payload) return await lookAtPhase(work, payload, job, token);
      await prepare();
      return await work.tick();
    }
  }
}

/** A step's job sleeps in Redis, between two looks, until the step is over. */
async function lookAtPhase(
  work: PoolWork,
  { reclamationId, stepIndex }: PhasePayload,
  job: Job,
  token: string,
): Promise<unknown> {
  const report = await work.reclaimer.phase(reclamationId, stepIndex);
  if (report.isOver) return report;
  const { first, most } = PHASE_LOOK_MS;
  const restMs = Math.min(most, first * 2 ** (job.attemptsStarted - 1));
  await job.moveToDelayed(Date.now() + restMs, token);
  throw new DelayedError();
}
