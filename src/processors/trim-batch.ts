/** Job `trim-batch`: discard one batch of pending space, and say what was seen to be freed. */

import { MaintenanceError } from '../domain/errors.js';
import type { MoveControl } from '../domain/move-tasks.js';
import type { Run } from '../domain/runs.js';
import type { PoolContext } from '../pool/extent-pool/context.js';
import { type TrimReceipt, trimBatch } from '../pool/extent-pool/trim.js';
import type { RunBatchPayload } from '../queue/payloads.js';
import type { DiskRow } from '../store/disks.js';
import { governanceOf } from './governance.js';
import {
  type BatchReport,
  claimBatch,
  completeRun,
  SUPERSEDED,
  stillRunning,
} from './run-batch.js';
import { RunWatch } from './run-watch.js';

export async function processTrimBatch(
  context: PoolContext,
  payload: RunBatchPayload,
): Promise<BatchReport> {
  const run = claimBatch(context, payload);
  if (!run) return SUPERSEDED;
  using watch = new RunWatch(context, run, governanceOf(context, run));
  if (!(await watch.mayBegin())) return { outcome: 'stopped', processedCount: 0, doneBytes: 0 };
  const startedAtMs = context.clock();
  const step = await trimNext(context, run, watch.moves);
  if (!step) {
    endRun(context, run);
    return { outcome: 'done', processedCount: 0, doneBytes: 0 };
  }
  const { disk, receipt, nextBytes } = step;
  const busyMs = context.clock() - startedAtMs;
  context.store.transaction(() => {
    context.store.runs.finishBatch(run.runId, run.batchIndex);
    context.store.runs.setCursor(run.runId, disk.diskId, nextBytes);
    context.store.runs.addProgress(run.runId, { ...progressOf(receipt), busyMs });
  });
  const stopped = !stillRunning(context, run.runId);
  return {
    outcome: stopped ? 'stopped' : 'done',
    processedCount: receipt.rangeCount,
    doneBytes: receipt.requestedBytes,
  };
}

/** The next batch of the first disk, from the cursor on, that has something due. */
async function trimNext(
  context: PoolContext,
  run: Run,
  control: MoveControl,
): Promise<{ disk: DiskRow; receipt: TrimReceipt; nextBytes: number } | null> {
  const policy = context.store.policies.effective();
  for (const disk of disksOf(context, run)) {
    if (run.cursorDiskId !== null && disk.diskId < run.cursorDiskId) continue;
    if (context.diskState(disk).condition !== 'online') {
      countUnavailable(context, run, disk);
      continue;
    }
    const { batchBytes, secureErase, discardGranularityBytes } = policy.tiers[disk.tier].trim;
    const done = await trimBatch(context, {
      disk,
      fromBytes: disk.diskId === run.cursorDiskId ? run.cursorBytes : 0,
      bytesMax: batchBytes,
      secureErase: isByHand(run) ? run.secureErase : secureErase,
      granularityBytes: discardGranularityBytes,
      control,
    });
    if (done) return { disk, ...done };
  }
  return null;
}

/** Who trims by hand says what; else the policy of each tier does, and which tier it was begun for. */
function disksOf({ store }: PoolContext, run: Run): DiskRow[] {
  const disks = store.disks.all();
  if (run.diskId !== null) return disks.filter(({ diskId }) => diskId === run.diskId);
  if (isByHand(run)) return disks;
  const reclamationId = store.reclamations.ofRun(run.runId);
  const reclamation = reclamationId === null ? null : store.reclamations.get(reclamationId);
  const only = reclamation?.trigger === 'freed' ? reclamation.scope : null;
  const { tiers } = store.policies.effective();
  return disks.filter(({ tier }) => tiers[tier].trim.enabled && (only === null || tier === only));
}

function isByHand({ trigger }: Run): boolean {
  return trigger === 'manual';
}

/** A disk that is away keeps its pending space; it is counted once, at the end of the run. */
function countUnavailable(context: PoolContext, run: Run, disk: DiskRow): void {
  if (context.store.space.totals(disk.diskId).pendingBytes === 0) return;
  context.store.runs.addProgress(run.runId, { skippedCount: 1 });
  context.store.runs.setCursor(run.runId, disk.diskId, disk.capacityBytes);
}

function progressOf(receipt: TrimReceipt) {
  const doneCount = receipt.rangeCount - receipt.failedCount - receipt.unsupportedCount;
  return {
    processedCount: receipt.rangeCount,
    doneCount,
    failedCount: receipt.failedCount,
    unsupportedCount: receipt.unsupportedCount,
    doneBytes: receipt.requestedBytes - receipt.failedBytes,
    confirmedBytes: receipt.confirmedBytes,
    reclaimedBytes: receipt.reclaimedBytes,
  };
}

/** A run in which every range failed has failed; else it is complete and its failures are counted. */
function endRun(context: PoolContext, run: Run): void {
  const { doneCount, failedCount } = run.progress;
  noteTrimmed(context, run);
  if (failedCount > 0 && doneCount === 0) {
    const error = new MaintenanceError(
      'ERR_ALL_TARGETS_FAILED',
      `all ${failedCount} discards failed`,
      {
        nextStep: 'The space stays pending and is tried again later. See the log of the agent.',
      },
    );
    context.store.runs.setState(run.runId, 'failed', context.clock(), error.toWire());
    return;
  }
  completeRun(context, run);
}

/** From now on the time to the next trim of these tiers counts; also where every discard failed. */
function noteTrimmed(context: PoolContext, run: Run): void {
  if (run.diskId !== null) return;
  const nowMs = context.clock();
  const trimmed = disksOf(context, run).map(({ tier }) => [tier, nowMs]);
  const trimmedAtMs = { ...context.settings().trimmedAtMs, ...Object.fromEntries(trimmed) };
  context.store.settings.write({ trimmedAtMs });
}
