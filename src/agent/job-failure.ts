/** What it means that a job failed for good: for its run, or for its reclamation. */

import { type Job, UnrecoverableError } from 'bullmq';
import { type ErrorCode, MaintenanceError, type WireError } from '../domain/errors.js';
import type { PoolWork } from '../processors/pool-work.js';
import { claimBatch } from '../processors/run-batch.js';
import type { JobKind } from '../queue/names.js';
import { parsePayload } from '../queue/payloads.js';

/** What `parsePayload` says of a job that is none of ours. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set(['ERR_USAGE', 'ERR_POLICY_REFUSED']);

/**
 * The batch of a run ends the run, with the reason, and the job of a step its reclamation. A job that
 * was refused ends nothing, whatever it names.
 *
 * @throws MaintenanceError when it cannot be recorded.
 */
export function recordFailure(work: PoolWork, kind: JobKind, job: Job, error: Error): void {
  const { context } = work.pool;
  // Of an analysis nothing else goes on; what else BullMQ itself failed is queued again.
  const reason = wireOf(error) ?? (kind === 'analyze' ? givenUp(error) : null);
  if (!reason || REFUSALS.has(reason.code)) return;
  const payload = parsePayload(kind, context.poolId, job.data);
  if (!('kind' in payload)) return;
  if (payload.kind === 'phase' && payload.stepIndex !== null) {
    work.reclaimer.phaseFailed(payload.reclamationId, payload.stepIndex, reason);
  }
  // Its batches know where they were, and the next one goes on from there.
  if (payload.kind !== 'batch' || !wireOf(error)) return;
  const run = claimBatch(context, payload);
  if (run) context.store.runs.setState(run.runId, 'failed', context.clock(), reason);
}

/**
 * BullMQ keeps only the message of an error, so the message is the error in full.
 *
 * @returns what a job fails with: tried again only where that may help.
 */
export function jobError(error: MaintenanceError): Error {
  const message = JSON.stringify(error.toWire());
  return error.retryable ? new Error(message, { cause: error }) : new UnrecoverableError(message);
}

/** @returns null for what BullMQ itself failed. */
export function wireOf(error: Error): WireError | null {
  try {
    return JSON.parse(error.message);
  } catch {
    return null;
  }
}

/** Such as a job that stalled too often: each agent that took it died, or hung. */
function givenUp({ message }: Error): WireError {
  return new MaintenanceError('ERR_QUEUE', `the queue gave the analysis up: ${message}`, {
    nextStep:
      'The log of the agent says what ended it; then begin another with `dynamicfs reclamation run`.',
  }).toWire();
}
