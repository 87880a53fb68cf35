/**
 * Runs of kind `repair`: begun by the agent within moments of a bad replica, served by the batches
 * that serve defragmentation, and written down replica by replica.
 */

import type { Run, RunTrigger } from '../domain/runs.js';
import { recordFinding } from '../pool/extent-pool/bad-replicas.js';
import type { PoolContext } from '../pool/extent-pool/context.js';
import { readableDegraded } from '../pool/extent-pool/disk-watch.js';
import { placementDisks } from '../pool/extent-pool/reserve-space.js';
import { type RewriteResult, rewriteReplicas } from '../pool/extent-pool/rewrite.js';
import type { Move } from '../pool/extent-pool/rewrite-target.js';
import type { Candidate, PlannedWork } from '../store/rewrite-candidates.js';

const REPAIR_THREADS = 2;
const REPAIRED = 'written anew from a good replica';

/** @returns the run that this call began; null when nothing is due, or one is open already. */
export function beginDueRepair(context: PoolContext): number | null {
  const { store, clock } = context;
  // Asked every second: without a transaction as long as there is nothing to do.
  if (store.repairs.planDue(clock()).count === 0 || store.runs.open('repair')) return null;
  return store.transaction(() => {
    const planned = store.repairs.planDue(clock());
    if (planned.count === 0 || store.runs.open('repair')) return null;
    return insertRepair(context, 'bad-replica', planned);
  });
}

/**
 * @returns the run that gives other disks what a failed or lost one held; null when there is none to
 *   make.
 */
export function beginRereplication(context: PoolContext): number | null {
  const { store } = context;
  return store.transaction(() => {
    if (store.runs.open('repair')) return null;
    const [first] = store.health.short(0, readableDegraded(context), 1);
    const takers = placementDisks(context).filter(({ healthy }) => healthy).length;
    // Every disk that could take a copy has a good one already.
    if (!first || takers <= first.goodCount) return null;
    const degraded = store.disks
      .all()
      .filter(({ diskId }) => store.health.get(diskId).state === 'degraded')
      .reduce((sum, { diskId }) => sum + store.health.shortCount(diskId), 0);
    const lost = store.health.neverWholeCount();
    const trigger = degraded > 0 ? 'degraded-disk' : 'lost-disk';
    return insertRepair(context, trigger, { count: degraded + lost, bytes: 0 });
  });
}

function insertRepair(context: PoolContext, trigger: RunTrigger, planned: PlannedWork): number {
  return context.store.runs.insert({
    kind: 'repair',
    trigger,
    intensity: 'high',
    threadCount: REPAIR_THREADS,
    diskId: null,
    secureErase: false,
    startedAtMs: context.clock(),
    plannedCount: planned.count,
    plannedBytes: planned.bytes,
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
    // One by one they would push everything else out of the record.
    if (move.goal === 're-replicate') {
      totals.add({ replicas_copied: 1, repair_bytes: doneBytes });
      return;
    }
    totals.add({ bad_replicas_repaired: 1, repair_bytes: doneBytes });
    recordFinding(context, move, { runId: run.runId, what: 'repaired', reason: REPAIRED });
    return;
  }
  if (result.kind !== 'skipped' && result.kind !== 'failed') return;
  const outcome = result.kind;
  const reason = reasonOf(result);
  candidates.exclude(run.runId, move, outcome, reason);
  runs.addProgress(run.runId, {
    processedCount: 1,
    ...(outcome === 'failed' ? { failedCount: 1 } : { skippedCount: 1 }),
  });
  if (move.goal === 're-replicate') return;
  totals.add({ bad_replicas_unrepaired: 1 });
  recordFinding(context, move, { runId: run.runId, what: 'unrepairable', reason });
  repairs.postpone(move, context.clock());
}

function reasonOf(result: Extract<RewriteResult, { kind: 'skipped' | 'failed' }>): string {
  return result.kind === 'failed' ? result.error.message : result.reason;
}

/** Extents that share a task. */
const REPAIRS_PER_TASK = 8;

/** What a scrub found bad, repaired by the scrub itself; what it could not, the agent tries later. */
export async function repairForScrub(
  context: PoolContext,
  runId: number,
  bad: readonly Candidate[],
): Promise<{ done: number; failed: number }> {
  const { repairs, totals } = context.store;
  const open = [...bad];
  let [done, failed] = [0, 0];
  while (open.length > 0) {
    const moves = takeDistinct(open, REPAIRS_PER_TASK);
    const results = await rewriteReplicas(context, moves);
    context.store.transaction(() => {
      for (const [index, move] of moves.entries()) {
        const result = results[index];
        // Somebody else moved the extent meanwhile: it is as it was, and due for the agent.
        if (result?.kind === 'moved') {
          done += 1;
          totals.add({ bad_replicas_repaired: 1, repair_bytes: result.bytes });
          recordFinding(context, move, { runId, what: 'repaired', reason: REPAIRED });
          continue;
        }
        failed += 1;
        repairs.letGo(move);
        if (result?.kind !== 'skipped' && result?.kind !== 'failed') continue;
        totals.add({ bad_replicas_unrepaired: 1 });
        recordFinding(context, move, { runId, what: 'unrepairable', reason: reasonOf(result) });
        repairs.postpone(move, context.clock());
      }
    });
  }
  return { done, failed };
}

/** Replicas of one extent share its generation, so they cannot share a task. */
function takeDistinct(open: Candidate[], count: number): Move[] {
  const taken: Move[] = [];
  for (let index = 0; index < open.length && taken.length < count; ) {
    const next = open[index];
    if (!next || taken.some(({ extentId }) => extentId === next.extentId)) index += 1;
    else {
      open.splice(index, 1);
      taken.push({ extentId: next.extentId, diskId: next.diskId, goal: 'repair' });
    }
  }
  return taken;
}
