/**
 * What every batch of a run has in common: is it still wanted, and is this the job that counts?
 *
 * At-least-once: BullMQ hands a stalled job to another worker, and a restarted agent queues the
 * batch again under its own epoch. The run's row decides; the job only asks.
 */

import type { Run } from '../domain/runs.js';
import type { MaintenanceContext } from '../pool/maintained-pool.js';
import type { RunBatchPayload } from '../queue/payloads.js';
import { governorOf } from './governor.js';

export interface BatchReport {
  readonly outcome: 'done' | 'stopped' | 'superseded';
  readonly processedCount: number;
  readonly doneBytes: number;
}

export const SUPERSEDED: BatchReport = { outcome: 'superseded', processedCount: 0, doneBytes: 0 };

const draining = new WeakSet<MaintenanceContext>();

/** From now on no batch of this process begins a step: the agent ends, and its runs stay open. */
export function drain(context: MaintenanceContext): void {
  draining.add(context);
}

export function isDraining(context: MaintenanceContext): boolean {
  return draining.has(context);
}

/** @returns the run, or null when another job or owner took over, or the run is not running. */
export function claimBatch(context: MaintenanceContext, payload: RunBatchPayload): Run | null {
  const run = context.store.runs.get(payload.runId);
  const current =
    run?.state === 'running' &&
    run.batchIndex === payload.batchIndex &&
    payload.epoch === context.ownerEpoch;
  return current ? run : null;
}

/** Read before each step, so that a stop, pause or drain takes effect after the step under way. */
export function stillRunning(context: MaintenanceContext, runId: number): boolean {
  return !draining.has(context) && context.store.runs.isRunning(runId);
}

/** Ends a run in which nothing is left to do. */
export function completeRun(context: MaintenanceContext, run: Run): void {
  const { store } = context;
  store.transaction(() => {
    context.assertOwner();
    governorOf(context).settle(run.runId);
    if (!store.runs.setState(run.runId, 'completed', context.clock())) return;
    if (run.kind === 'defrag' || run.kind === 'evacuate') {
      store.totals.add({ defrag_runs_completed: 1 });
    }
  });
}
