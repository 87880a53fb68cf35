/**
 * Job `trim-batch` on a mounted file system: one trim, window by window, in one job.
 *
 * What may be left out is decided from evidence read before the first flush, so a trim is not cut
 * into batches; its cursor is in the store after each window, for the next agent and the next run.
 */

import { MaintenanceError, type WireError } from '../domain/errors.js';
import { FS_TRIM_REST_RATIO, restMs } from '../domain/fs-pace.js';
import type { Run, RunProgress } from '../domain/runs.js';
import type { TrimmedWindow } from '../domain/trim-tasks.js';
import type { TrimWindow } from '../domain/trim-windows.js';
import { crashPoint } from '../kernel/crash-point.js';
import type { FsPoolContext } from '../pool/fs-pool/context.js';
import { assertWritable, type FsMount } from '../pool/fs-pool/detect.js';
import {
  type TrimMountOptions,
  type TrimMountReport,
  type TrimWindowStep,
  trimMount,
} from '../pool/fs-pool/trim-mount.js';
import type { RunBatchPayload } from '../queue/payloads.js';
import { type BatchReport, claimBatch, completeRun, SUPERSEDED } from './run-batch.js';
import { RunWatch } from './run-watch.js';

/** `Run.cursorDiskId` of a run that has a cursor: a file system is one disk. */
const THE_DISK = 0;
const RECENT_RUNS = 20;

/** @throws MaintenanceError ERR_DISK_UNAVAILABLE, ERR_PERMISSION, and what reading windows throws. */
export async function processFsTrim(
  context: FsPoolContext,
  payload: RunBatchPayload,
): Promise<BatchReport> {
  const run = claimBatch(context, payload);
  if (!run) return SUPERSEDED;
  const mount = context.mount();
  assertWritable(mount);
  using watch = new RunWatch(context, run, {
    deviceNames: () => mount.devices.map(({ name }) => name),
    laneCount: 1,
  });
  await watch.mayBegin();
  const report = await trimAll(context, run, mount, watch);
  const { store, clock } = context;
  store.transaction(() => {
    store.runs.finishBatch(run.runId, run.batchIndex);
    store.totals.set('trim_last_at_ms', clock());
  });
  const stopped = !watch.isRunning;
  if (!stopped) endRun(context, run, report.isUnsupported ? report.firstError : null);
  const progress = store.runs.get(run.runId)?.progress ?? run.progress;
  return {
    outcome: stopped ? 'stopped' : 'done',
    processedCount: progress.processedCount - run.progress.processedCount,
    doneBytes: progress.doneBytes - run.progress.doneBytes,
  };
}

async function trimAll(
  context: FsPoolContext,
  run: Run,
  mount: FsMount,
  watch: RunWatch,
): Promise<TrimMountReport> {
  const { store, clock } = context;
  const workers: TrimMountOptions['workers'] = {
    run: (kind, task) => context.whileHeld(() => context.workers.run(kind, task)),
  };
  let windowStartedAtMs = clock();
  let isFirst = true;
  return await trimMount({
    workers,
    mount,
    runId: `${run.runId}-${context.ownerEpoch ?? 0}-${run.batchIndex}`,
    remembered: store.trimWindows.all(),
    cursorBytes: cursorOf(context, run),
    minLengthBytes: store.policies.effective().trim.discardGranularityBytes,
    deviceName: onlyDevice(context, run, mount),
    stopFlag: watch.moves,
    clock,
    onWindow: async (step) => {
      const busyMs = clock() - windowStartedAtMs;
      store.transaction(() => {
        context.assertOwner();
        if (isFirst) plan(context, run, step);
        record(context, run, step, busyMs);
        recordDevices(context, run, step, mount);
      });
      crashPoint('trim-window-stored');
      isFirst = false;
      const restRatio = step.outcome ? FS_TRIM_REST_RATIO[run.intensity] : 0;
      if (watch.paceRatio === 1) await watch.rest(restMs(busyMs, restRatio));
      await watch.mayBegin();
      windowStartedAtMs = clock();
    },
  });
}

/** @throws MaintenanceError ERR_TARGET_NOT_FOUND when the device left the file system since. */
function onlyDevice({ store }: FsPoolContext, { runId }: Run, mount: FsMount): string | null {
  const path = store.trimDevices.only(runId);
  if (path === null) return null;
  const device = mount.devices.find((one) => one.path === path);
  if (device) return device.name;
  throw new MaintenanceError(
    'ERR_TARGET_NOT_FOUND',
    `${path} is no disk of ${mount.path} any more`,
    {
      nextStep: 'See `dynamicfs disk list` for its disks, and name one of them.',
    },
  );
}

function recordDevices(
  { store }: FsPoolContext,
  { runId }: Run,
  { outcome }: TrimWindowStep,
  mount: FsMount,
): void {
  if (!outcome || outcome.kind === 'failed') return;
  for (const receipt of outcome.devices) {
    const path = mount.devices.find(({ name }) => name === receipt.name)?.path ?? receipt.name;
    store.trimDevices.add(runId, { ...receipt, path });
  }
}

/** A run that begins anew goes on where one that was stopped left off. */
function cursorOf({ store }: FsPoolContext, run: Run): number | null {
  if (run.cursorDiskId !== null) return run.cursorBytes;
  const before = store.runs
    .recent(RECENT_RUNS)
    .find(({ kind, runId }) => kind === 'trim' && runId < run.runId);
  const wasStopped = before?.state === 'stopped' && before.cursorDiskId !== null;
  return wasStopped ? before.cursorBytes : null;
}

/** What is planned is known once the windows were read; a run that goes on reads them again. */
function plan({ store }: FsPoolContext, run: Run, { totalCount }: TrimWindowStep): void {
  const { processedCount, plannedCount } = run.progress;
  const neededCount = processedCount + totalCount - plannedCount;
  store.runs.addProgress(run.runId, { plannedCount: neededCount });
}

/** Safe while: in a transaction. */
function record(context: FsPoolContext, run: Run, step: TrimWindowStep, busyMs: number): void {
  const { store } = context;
  const { planned, outcome, remember, cursorBytes } = step;
  if (cursorBytes !== null) store.runs.setCursor(run.runId, THE_DISK, cursorBytes);
  if (remember) store.trimWindows.remember(remember);
  else store.trimWindows.forget(planned.window.startBytes);
  if (!outcome) {
    store.candidates.count(run.runId, 'skipped', planned.skip ?? '', 1);
    store.runs.addProgress(run.runId, { processedCount: 1, skippedCount: 1, busyMs });
    return;
  }
  const progress = progressOf(step);
  if (outcome.kind !== 'trimmed') {
    store.candidates.count(run.runId, 'failed', outcome.error.message, 1);
  }
  store.runs.addProgress(run.runId, { ...progress, busyMs });
  store.totals.add({
    trim_operations: 1,
    trim_ranges: progress.processedCount ?? 0,
    trim_bytes_requested: progress.doneBytes ?? 0,
    trim_bytes_confirmed: progress.confirmedBytes ?? 0,
    trim_bytes_reclaimed: progress.reclaimedBytes ?? 0,
    trim_failures: progress.failedCount ?? 0,
    trim_bytes_refused: refusedBytes(step),
    trim_unsupported: progress.unsupportedCount ?? 0,
  });
}

function progressOf({ planned, outcome, doneCount, totalCount }: TrimWindowStep) {
  const progress: Partial<RunProgress> = { processedCount: 1 };
  if (outcome?.kind === 'trimmed') return { ...progress, ...trimmed(outcome, planned.window) };
  if (outcome?.kind === 'failed') return { ...progress, failedCount: 1 };
  // No other window can do better.
  const leftCount = totalCount - doneCount + 1;
  return { processedCount: leftCount, unsupportedCount: leftCount };
}

function trimmed(outcome: TrimmedWindow, window: TrimWindow): Partial<RunProgress> {
  const { confirmation, heldBytes, confirmedBytes } = outcome;
  // "Asked much, confirmed nothing" where it can be confirmed is a failure, whatever FITRIM says.
  const refused = confirmation === 'refused';
  const asked = askedBytes(outcome);
  const isKnown = heldBytes !== null && window.freeBytes !== null;
  // What was free and held by nobody before is no merit of this trim.
  const unheldBytes = isKnown ? Math.max(0, window.freeBytes - heldBytes) : 0;
  return {
    doneCount: refused ? 0 : 1,
    failedCount: refused ? 1 : 0,
    doneBytes: asked,
    confirmedBytes: Math.min(asked, unheldBytes),
    reclaimedBytes: Math.max(0, confirmedBytes ?? 0),
  };
}

/** What is held still of a window of which nothing was given back, where that can be seen. */
function refusedBytes({ outcome }: TrimWindowStep): number {
  if (outcome?.kind !== 'trimmed' || outcome.confirmation !== 'refused') return 0;
  return Math.min(outcome.requestedBytes, outcome.heldBytes ?? outcome.requestedBytes);
}

/** XFS says the whole window, whatever it discarded: the devices' own counters are nearer to it. */
function askedBytes({ deviceDiscardedBytes, requestedBytes }: TrimmedWindow): number {
  return Math.min(deviceDiscardedBytes, requestedBytes);
}

function endRun(context: FsPoolContext, run: Run, unsupported: WireError | null): void {
  const { store, clock } = context;
  const progress = store.runs.get(run.runId)?.progress;
  const { doneCount, failedCount } = progress ?? { doneCount: 0, failedCount: 0 };
  if (unsupported) {
    // What was asked for before the device refused proves nothing either.
    store.runs.setState(run.runId, 'failed', clock(), unsupported);
  } else if (failedCount > 0 && doneCount === 0) {
    store.runs.setState(run.runId, 'failed', clock(), allFailed(failedCount).toWire());
  } else {
    completeRun(context, run);
  }
}

function allFailed(count: number): MaintenanceError {
  return new MaintenanceError('ERR_ALL_TARGETS_FAILED', `all ${count} trims failed`, {
    nextStep: 'See `dynamicfs doctor`: it names the layer that drops discards.',
  });
}
