/**
 * Batches of a scrub, which travel in the queue `analyze`: read the replicas of the next extents,
 * verify each against its BLAKE3, note what is bad, and repair it when asked to.
 *
 * Extents are taken in the order of their ids, on all disks at once. Figures and cursor are written
 * in one transaction at the end, so that a batch which died counts nothing and is done again.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { restMs } from '../domain/fs-pace.js';
import type { Run } from '../domain/runs.js';
import { SCRUB_PACE } from '../domain/scrub.js';
import type { PoolContext } from '../pool/extent-pool/context.js';
import { dropSurplus, welcomeBack } from '../pool/extent-pool/disk-watch.js';
import { pickForScrub, type ScrubPick, verifyPicked } from '../pool/extent-pool/scrub.js';
import { verifyDiskRecords } from '../pool/extent-pool/verify-disk-records.js';
import type { RunBatchPayload } from '../queue/payloads.js';
import { governanceOf } from './governance.js';
import { repairForScrub } from './repairs.js';
import { type BatchReport, claimBatch, completeRun, SUPERSEDED } from './run-batch.js';
import { RunWatch } from './run-watch.js';

export async function processScrubBatch(
  context: PoolContext,
  payload: RunBatchPayload,
): Promise<BatchReport> {
  const run = claimBatch(context, payload);
  const scrub = run && context.store.scrubs.get(run.runId);
  if (!run || !scrub) return SUPERSEDED;
  const pace = SCRUB_PACE[run.intensity];
  using watch = new RunWatch(context, run, governanceOf(context, run));
  if (!(await watch.mayBegin())) return { outcome: 'stopped', processedCount: 0, doneBytes: 0 };
  const startedAtMs = context.clock();
  const pick = pickForScrub(context, scrub.cursorExtentId, run.diskId, pace.batchBytes);
  if (pick.lastExtentId === null) {
    checkDiskRecords(context, run, scrub.repairs);
    await countAgain(context, run);
    completeRun(context, run);
    return { outcome: 'done', processedCount: 0, doneBytes: 0 };
  }
  const { runId, threadCount } = run;
  const verified = await verifyPicked(context, pick, {
    runId,
    threadCount,
    stopFlag: watch.moves,
  });
  if (verified === null) return { outcome: 'stopped', processedCount: 0, doneBytes: 0 };
  const repaired = scrub.repairs ? await repairForScrub(context, runId, verified.bad) : null;
  const busyMs = context.clock() - startedAtMs;
  context.store.transaction(() => {
    if (!context.store.runs.finishBatch(runId, run.batchIndex)) return;
    context.store.scrubs.advance(runId, pick.lastExtentId ?? 0);
    if (repaired) context.store.scrubs.addRepairs(runId, repaired.done, repaired.failed);
    recordVerified(context, run, pick, verified, busyMs);
  });
  await watch.rest(restMs(busyMs, pace.restRatio));
  return {
    outcome: watch.isRunning ? 'done' : 'stopped',
    processedCount: pick.replicas.length,
    doneBytes: verified.verifiedBytes,
  };
}

/** A disk that was away: what verified counts again, and copies made meanwhile may be too many. */
async function countAgain(context: PoolContext, { runId, trigger, diskId }: Run): Promise<void> {
  if (trigger !== 'returned-disk' || diskId === null) return;
  const { store } = context;
  // Away once more in between, or moved about: then it is read again by another scrub.
  if ((store.runs.get(runId)?.progress.skippedCount ?? 1) > 0 || !context.isThere(diskId)) return;
  while (dropSurplus(context, diskId) > 0) await nextTurn();
  welcomeBack(context, diskId);
}

/** Last of all what the disks know of themselves: superblock and journal. */
function checkDiskRecords(context: PoolContext, run: Run, repair: boolean): void {
  const { store } = context;
  for (const disk of store.disks.all()) {
    if (run.diskId !== null && run.diskId !== disk.diskId) continue;
    const result = verifyDiskRecords(context, disk.diskId, { runId: run.runId, repair });
    if (result === 'good' || result === 'away') continue;
    store.runs.addProgress(run.runId, { failedCount: 1 });
    if (repair) {
      const repaired = Number(result === 'repaired');
      store.scrubs.addRepairs(run.runId, repaired, 1 - repaired);
    }
  }
}

/** Safe while: in a transaction. */
function recordVerified(
  { store }: PoolContext,
  { runId }: Run,
  pick: ScrubPick,
  verified: NonNullable<Awaited<ReturnType<typeof verifyPicked>>>,
  busyMs: number,
): void {
  const { bad, goodCount, verifiedBytes } = verified;
  for (const { reason, ...candidate } of bad) {
    store.candidates.exclude(runId, candidate, 'failed', reason);
  }
  store.runs.addProgress(runId, {
    processedCount: pick.replicas.length + pick.awayCount,
    doneCount: goodCount,
    failedCount: bad.length,
    // Away from the start, gone since, or moved meanwhile, which verified them.
    skippedCount: pick.awayCount + pick.replicas.length - goodCount - bad.length,
    doneBytes: verifiedBytes,
    busyMs,
  });
  store.totals.add({ scrub_replicas: pick.replicas.length, scrub_bytes: verifiedBytes });
}
