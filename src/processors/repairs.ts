/**
 * Runs of kind `repair`: begun by the agent within moments of a bad replica, served by the batches
 * that serve defragmentation, and written down replica by replica.
 */

import type { Run } from '../domain/runs.js';
import { recordFinding } from '../pool/extent-pool/bad-replicas.js';
import type { PoolContext } from '../pool/extent-pool/context.js';
import type { RewriteResult } from '../pool/extent-pool/rewrite.js';
import type { Move } from '../pool/extent-pool/rewrite-target.js';

const REPAIR_THREADS = 2;

/** @returns the run that this call began; null when nothing is due, or one is open already. */
export function beginDueRepair(context: PoolContext): number | null {
  const { store, clock } = context;
  // Asked every second: without a transaction as long as there is nothing to do.
  if (store.repairs.planDue(clock()).count === 0 || store.runs.open('repair')) return null;
  return store.transaction(() => {
    const planned = store.repairs.planDue(clock());
    if (planned.count === 0 || store.runs.open('repair')) return null;
    return store.runs.insert({
      kind: 'repair',
      trigger: 'bad-replica',
      intensity: 'high',
      threadCount: REPAIR_THREADS,
      diskId: null,
      secureErase: false,
      startedAtMs: clock(),
      plannedCount: planned.count,
      plannedBytes: planned.bytes,
    });
  });
}

/** What became of one repair. Safe while: in a transaction. */
export function recordRepair(
  context: PoolContext,
  run: Run,
  move: Move,
  result: RewriteResult,
): void {
  const { candidates, repairs, runs, totals } = context.store;
  if (result.kind === 'moved') {
    const doneBytes = result.bytes;
    runs.addProgress(run.runId, { processedCount: 1, doneCount: 1, doneBytes });
    totals.add({ bad_replicas_repaired: 1, repair_bytes: doneBytes });
    recordFinding(context, move, {
      runId: run.runId,
      what: 'repaired',
      reason: 'written anew from a good replica',
    });
    return;
  }
  if (result.kind !== 'skipped' && result.kind !== 'failed') return;
  const outcome = result.kind;
  const reason = result.kind === 'failed' ? result.error.message : result.reason;
  candidates.exclude(run.runId, move, outcome, reason);
  runs.addProgress(run.runId, {
    processedCount: 1,
    ...(outcome === 'failed' ? { failedCount: 1 } : { skippedCount: 1 }),
  });
  totals.add({ bad_replicas_unrepaired: 1 });
  recordFinding(context, move, { runId: run.runId, what: 'unrepairable', reason });
  repairs.postpone(move, context.clock());
}
