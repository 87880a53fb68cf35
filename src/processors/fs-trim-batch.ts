/**
 * Job `trim-batch` on a mounted file system: trim windows for a while, and say what was seen of it.
 *
 * What is to be trimmed is decided once per run and agent, from evidence read before the first flush;
 * the cursor is in the store, so that a stopped run, and the next one, go on where it was.
 */

import { MaintenanceError } from '../domain/errors.js';
import { FS_BATCH_MS, FS_TRIM_REST_RATIO, restMs } from '../domain/fs-pace.js';
import type { Run, RunProgress } from '../domain/runs.js';
import type { TrimmedWindow } from '../domain/trim-tasks.js';
import { forecastWindows, type PlannedWindow, windowsFromCursor } from '../domain/trim-windows.js';
import type { FsPoolContext } from '../pool/fs-pool/context.js';
import { assertWritable } from '../pool/fs-pool/detect.js';
import { planTrim, type TrimPlan, trimWindow } from '../pool/fs-pool/trim.js';
import type { RunBatchPayload } from '../queue/payloads.js';
import { type BatchReport, claimBatch, completeRun, SUPERSEDED } from './run-batch.js';
import { RunWatch } from './run-watch.js';

/** `Run.cursorDiskId` of a run that has a cursor: a file system is one disk. */
const THE_DISK = 0;

interface TrimWork {
  readonly plan: TrimPlan;
  /** Names what shares the plan's evidence. */
  readonly token: string;
  waiting: PlannedWindow[];
  paceBytes: number | null;
}

export class FsTrimBatches {
  readonly #context: FsPoolContext;
  readonly #work = new Map<number, TrimWork>();

  constructor(context: FsPoolContext) {
    this.#context = context;
  }

  /** @throws MaintenanceError ERR_DISK_UNAVAILABLE, ERR_PERMISSION. */
  async process(payload: RunBatchPayload): Promise<BatchReport> {
    const run = claimBatch(this.#context, payload);
    if (!run) return SUPERSEDED;
    const { store, clock } = this.#context;
    const startedAtMs = clock();
    using watch = new RunWatch(this.#context, run.runId);
    const mount = this.#context.mount();
    assertWritable(mount);
    const work = this.#work.get(run.runId) ?? (await this.#begin(run));
    let processedCount = 0;
    let doneBytes = 0;
    while (watch.isRunning && work.waiting.length > 0 && clock() - startedAtMs < FS_BATCH_MS) {
      const windowStartedAtMs = clock();
      const done = await this.#trimNext(run, work, watch);
      processedCount += 1;
      doneBytes += done;
      await watch.rest(restMs(clock() - windowStartedAtMs, FS_TRIM_REST_RATIO[run.intensity]));
    }
    const busyMs = clock() - startedAtMs;
    store.transaction(() => {
      store.runs.finishBatch(run.runId, run.batchIndex);
      store.runs.addProgress(run.runId, { busyMs });
      store.totals.add({ trim_operations: 1 });
      store.totals.set('trim_last_at_ms', clock());
    });
    if (!watch.isRunning) {
      this.#work.delete(run.runId);
      return { outcome: 'stopped', processedCount, doneBytes };
    }
    if (work.waiting.length === 0) this.#end(run);
    return { outcome: 'done', processedCount, doneBytes };
  }

  forgetIdle(): void {
    for (const runId of this.#work.keys()) {
      if (this.#context.store.runs.get(runId)?.state !== 'running') this.#work.delete(runId);
    }
  }

  async #begin(run: Run): Promise<TrimWork> {
    const { store, workers } = this.#context;
    const plan = await planTrim(workers, this.#context.mount(), store.trimWindows.all(), true);
    const byStart = new Map(plan.windows.map((one) => [one.window.startBytes, one]));
    const ordered = windowsFromCursor(
      plan.windows.map(({ window }) => window),
      this.#cursorOf(run),
    );
    const due = ordered.flatMap((window) => {
      const planned = byStart.get(window.startBytes);
      return planned?.skip === null ? [planned] : [];
    });
    const work: TrimWork = {
      plan,
      token: `${run.runId}-${this.#context.ownerEpoch ?? 0}-${run.batchIndex}`,
      waiting: due,
      paceBytes: null,
    };
    this.#work.set(run.runId, work);
    const forecast = forecastWindows(plan.windows);
    const { progress } = run;
    store.runs.addProgress(run.runId, {
      plannedCount: Math.max(0, progress.processedCount + due.length - progress.plannedCount),
      plannedBytes: Math.max(0, progress.doneBytes + forecast.requestBytes - progress.plannedBytes),
    });
    return work;
  }

  /** A run that begins anew goes on where one that was stopped left off. */
  #cursorOf(run: Run): number | null {
    if (run.cursorDiskId !== null) return run.cursorBytes;
    const before = this.#context.store.runs
      .recent(20)
      .find(({ kind, runId }) => kind === 'trim' && runId < run.runId);
    const wasStopped = before?.state === 'stopped' && before.cursorDiskId !== null;
    return wasStopped ? before.cursorBytes : null;
  }

  /** @returns bytes that the device was asked to discard. */
  async #trimNext(run: Run, work: TrimWork, watch: RunWatch): Promise<number> {
    const { store, workers } = this.#context;
    const next = work.waiting[0];
    if (!next) return 0;
    const outcome = await trimWindow(workers, this.#context.mount(), {
      window: next.window,
      minLengthBytes: work.plan.minLengthBytes,
      stopFlag: watch.moves,
      paceBytes: work.paceBytes,
    });
    const endBytes = next.window.startBytes + next.window.lengthBytes;
    const nextBytes = outcome.kind === 'unsupported' ? endBytes : outcome.nextBytes;
    const isWhole = nextBytes >= endBytes;
    return store.transaction(() => {
      this.#context.assertOwner();
      store.runs.setCursor(run.runId, THE_DISK, nextBytes);
      if (outcome.kind === 'trimmed') {
        work.paceBytes = outcome.paceBytes;
        if (isWhole) this.#remember(work, next, outcome);
        // A window that a stop cut short is trimmed whole by the next run.
        if (isWhole || outcome.nextBytes > next.window.startBytes) work.waiting.shift();
        this.#count(run, progressOf(outcome, next));
        return askedBytes(outcome);
      }
      work.waiting.shift();
      if (outcome.kind === 'unsupported') {
        // No other window can do better.
        const count = work.waiting.length + 1;
        work.waiting = [];
        this.#count(run, { processedCount: count, unsupportedCount: count });
      } else {
        this.#count(run, { processedCount: 1, failedCount: 1 });
        store.candidates.count(run.runId, 'failed', outcome.error.message, 1);
      }
      return 0;
    });
  }

  #remember(work: TrimWork, { window }: PlannedWindow, outcome: TrimmedWindow): void {
    // What the device kept is asked for again.
    if (outcome.confirmation === 'refused') return;
    const { startBytes, lengthBytes, fingerprint, freeBytes } = window;
    this.#context.store.trimWindows.remember({
      ...{ startBytes, lengthBytes, fingerprint, freeBytes },
      runId: work.token,
      evidence: work.plan.list.evidence,
      trimmedAtMs: this.#context.clock(),
      minLengthBytes: work.plan.minLengthBytes,
    });
  }

  #count(run: Run, progress: Partial<RunProgress>): void {
    const { runs, totals } = this.#context.store;
    runs.addProgress(run.runId, progress);
    totals.add({
      trim_ranges: progress.processedCount ?? 0,
      trim_bytes_requested: progress.doneBytes ?? 0,
      trim_bytes_confirmed: progress.confirmedBytes ?? 0,
      trim_bytes_reclaimed: progress.reclaimedBytes ?? 0,
      trim_failures: progress.failedCount ?? 0,
      trim_unsupported: progress.unsupportedCount ?? 0,
    });
  }

  #end(run: Run): void {
    this.#work.delete(run.runId);
    const { store, clock } = this.#context;
    const progress = store.runs.get(run.runId)?.progress;
    if (progress && progress.failedCount > 0 && progress.doneCount === 0) {
      const error = allFailed(progress.failedCount).toWire();
      store.runs.setState(run.runId, 'failed', clock(), error);
      return;
    }
    completeRun(this.#context, run);
  }
}

/** XFS says the whole window, whatever it discarded: the devices' own counters are nearer to it. */
function askedBytes({ deviceDiscardedBytes, requestedBytes }: TrimmedWindow): number {
  return Math.min(deviceDiscardedBytes, requestedBytes);
}

function progressOf(outcome: TrimmedWindow, { window }: PlannedWindow): Partial<RunProgress> {
  const { confirmation, heldBytes } = outcome;
  const refused = confirmation === 'refused';
  const isKnown = heldBytes !== null && window.freeBytes !== null;
  return {
    processedCount: 1,
    doneCount: refused ? 0 : 1,
    failedCount: refused ? 1 : 0,
    doneBytes: askedBytes(outcome),
    confirmedBytes: isKnown ? Math.max(0, (window.freeBytes ?? 0) - (heldBytes ?? 0)) : 0,
    reclaimedBytes: Math.max(0, outcome.confirmedBytes ?? 0),
  };
}

function allFailed(count: number): MaintenanceError {
  return new MaintenanceError('ERR_ALL_TARGETS_FAILED', `all ${count} trims failed`, {
    nextStep: 'See `dynamicfs doctor`: it names the layer that drops discards.',
  });
}
