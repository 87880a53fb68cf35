/**
 * Job `defrag-batch` on a mounted file system: move files for a while, a group at a time.
 *
 * The first batch of a run scans. What it finds is kept in the store, so a run goes on after a
 * restart without another scan; each group is committed on its own.
 */

import { randomUUID } from 'node:crypto';
import { FUTILE_PASS_WAIT_MS } from '../domain/defrag-plan.js';
import { MaintenanceError } from '../domain/errors.js';
import {
  FAILURES_IN_A_ROW_MAX,
  FS_BATCH_MS,
  FS_DEFRAG_PACE,
  FS_GIVE_WAY_GROUP,
  type FsPace,
  passWaitMs,
  restMs,
} from '../domain/fs-pace.js';
import { groupsPerThread } from '../domain/move-tasks.js';
import type { Run } from '../domain/runs.js';
import type { FsPoolContext } from '../pool/fs-pool/context.js';
import { movableType } from '../pool/fs-pool/detect.js';
import { freeForDonors, type GroupReport, moveGroup } from '../pool/fs-pool/move-group.js';
import { RunFiles, scanForRun } from '../pool/fs-pool/run-files.js';
import { type SettleReport, settleIntents } from '../pool/fs-pool/settle.js';
import { askGovernor } from '../store/governor.js';
import { measureBefore } from './payback.js';
import type { DefragPayload, DefragReport } from './pool-work.js';
import { claimBatch, completeRun, SUPERSEDED } from './run-batch.js';
import { RunWatch } from './run-watch.js';
import { isWornOut } from './wear-budget.js';

export class FsDefragBatches {
  readonly #context: FsPoolContext;
  readonly #files = new Map<number, RunFiles>();
  #needsSettling = false;
  #failuresInARow = 0;

  constructor(context: FsPoolContext) {
    this.#context = context;
  }

  /** Before the first batch, and after one that left an intent open. */
  async settle(): Promise<SettleReport | null> {
    this.#needsSettling = false;
    return await this.#context.whileHeld(() => settleIntents(this.#context));
  }

  /** @throws MaintenanceError ERR_DISK_UNAVAILABLE, ERR_PERMISSION, and what the scan throws. */
  async process(payload: DefragPayload): Promise<DefragReport> {
    if (payload.kind === 'pass') return { passRunId: this.#beginPass() };
    const run = claimBatch(this.#context, payload);
    if (!run) return SUPERSEDED;
    const { store, clock } = this.#context;
    const startedAtMs = clock();
    using watch = new RunWatch(this.#context, run, {
      deviceNames: () => this.#context.mount().devices.map(({ name }) => name),
      laneCount: this.#laneCount(run),
    });
    watch.limit(FS_DEFRAG_PACE[run.intensity].rateBytesPerSec);
    if (this.#needsSettling) await this.settle();
    await watch.mayBegin();
    if (!store.options.scan(run.runId)) await scanForRun(this.#context, run, watch.scan);
    if (store.options.scan(run.runId)) await measureBefore(this.#context, run);
    const done = await this.#moveForAWhile(run, watch, startedAtMs + FS_BATCH_MS);
    const busyMs = clock() - startedAtMs;
    store.transaction(() => {
      store.runs.finishBatch(run.runId, run.batchIndex);
      store.runs.addProgress(run.runId, { busyMs });
      store.totals.add({ defrag_busy_ms: busyMs });
    });
    if (!watch.isRunning) {
      this.#files.delete(run.runId);
      return { outcome: 'stopped', ...done };
    }
    if (this.#isWornOut(run)) this.#finish(run);
    else if (!store.candidates.hasPending(run.runId)) await this.#finishOrScanAgain(run, watch);
    return { outcome: 'done', ...done };
  }

  forgetIdle(): void {
    for (const runId of this.#files.keys()) {
      if (this.#context.store.runs.get(runId)?.state !== 'running') this.#files.delete(runId);
    }
  }

  /** Lanes side by side, each with a group of its own. */
  async #moveForAWhile(
    run: Run,
    watch: RunWatch,
    endAtMs: number,
  ): Promise<{ processedCount: number; doneBytes: number }> {
    const { clock } = this.#context;
    const pace = FS_DEFRAG_PACE[run.intensity];
    const files = this.#filesOf(run.runId);
    let processedCount = 0;
    let doneBytes = 0;
    let hasFailed = false;
    const lane = async () => {
      // Looked at before each group, so a day may end up some groups above its budget.
      const mayGoOn = () => clock() < endAtMs && !hasFailed && !this.#isWornOut(run);
      while (mayGoOn() && (await watch.mayBegin())) {
        const groupStartedAtMs = clock();
        const group = files.take(paceNow(pace, watch), freeForDonors(this.#context.mount().path));
        if (!group) return;
        try {
          const move = () => this.#moveGroup(run, group, watch);
          const report = await this.#context.whileHeld(move);
          files.give(group, report);
          processedCount += report.processedCount;
          doneBytes += report.movedBytes;
        } catch (cause) {
          hasFailed = true;
          throw cause;
        }
        // Whoever gave way has rested.
        if (watch.paceRatio < 1) continue;
        await watch.rest(restMs(clock() - groupStartedAtMs, pace.restRatio));
      }
    };
    const lanes = await Promise.allSettled(Array.from({ length: this.#laneCount(run) }, lane));
    // All lanes end before an error goes on: a job that fails has nothing under way any more.
    const failure = lanes.find((one) => one.status === 'rejected');
    if (failure) {
      // Groups that failed half way left donors, perhaps; what they held is picked anew.
      this.#needsSettling = true;
      this.#files.delete(run.runId);
      throw failure.reason;
    }
    return { processedCount, doneBytes };
  }

  #isWornOut({ runId }: Run): boolean {
    const { wearBudgetBytesPerDay } = this.#context.store.reclamations.scope(runId);
    return isWornOut(this.#context, wearBudgetBytesPerDay);
  }

  #laneCount({ runId, intensity, threadCount }: Run): number {
    if (FS_DEFRAG_PACE[intensity].rateBytesPerSec !== null) return threadCount;
    const { verify } = this.#context.store.options.get(runId);
    return threadCount * groupsPerThread(movableType(this.#context.mount()), verify);
  }

  async #moveGroup(
    run: Run,
    group: Parameters<typeof moveGroup>[1],
    watch: RunWatch,
  ): Promise<GroupReport> {
    const report = await moveGroup(this.#context, group, {
      run,
      options: this.#context.store.options.get(run.runId),
      groupName: `${this.#context.poolId}-${randomUUID()}`,
      control: watch.moves,
      namesControl: watch.scan,
    });
    if (!report.settled) this.#needsSettling = true;
    const allFailed = report.failedCount > 0 && report.failedCount === report.processedCount;
    this.#failuresInARow = allFailed ? this.#failuresInARow + report.failedCount : 0;
    if (this.#failuresInARow >= FAILURES_IN_A_ROW_MAX) {
      this.#failuresInARow = 0;
      throw allFail(this.#context.path);
    }
    return report;
  }

  #filesOf(runId: number): RunFiles {
    let files = this.#files.get(runId);
    if (!files) {
      files = new RunFiles(this.#context, runId);
      this.#files.set(runId, files);
    }
    return files;
  }

  /** More were fragmented than the store took at first: look again, until nothing new is found. */
  async #finishOrScanAgain(run: Run, watch: RunWatch): Promise<void> {
    const { store } = this.#context;
    if (store.options.scan(run.runId)?.truncated) {
      const added = await scanForRun(this.#context, run, watch.scan);
      if (added === null || added > 0) return;
    }
    this.#finish(run);
  }

  #finish(run: Run): void {
    const { store, clock } = this.#context;
    this.#files.delete(run.runId);
    completeRun(this.#context, run);
    const skippedCount = store.runs.get(run.runId)?.progress.skippedCount ?? 0;
    store.totals.add({ defrag_extents_skipped: skippedCount });
    const scanMs = store.options.scan(run.runId)?.durationMs ?? 0;
    const waitMs = passWaitMs(scanMs, FUTILE_PASS_WAIT_MS);
    store.settings.write({ defragNotBeforeMs: clock() + waitMs });
  }

  /** Looking costs a scan, so an enabled pool is looked at now and then, not every minute. */
  #beginPass(): number | null {
    const { store, clock } = this.#context;
    return store.transaction(() => {
      const { defragEnabled, defragNotBeforeMs, defragIntensity, defragThreadCount, defragSloMs } =
        this.#context.settings();
      const nowMs = clock();
      if (!defragEnabled || nowMs < defragNotBeforeMs) return null;
      if (store.runs.open('defrag') || store.reclamations.open()) return null;
      const runId = store.runs.insert({
        kind: 'defrag',
        trigger: 'pass',
        intensity: defragIntensity,
        threadCount: defragThreadCount,
        diskId: null,
        secureErase: false,
        startedAtMs: nowMs,
        plannedCount: 0,
        plannedBytes: 0,
      });
      askGovernor(store, runId, defragIntensity, defragSloMs);
      return runId;
    });
  }
}

/** With others at work a group takes long: a small one holds few donors, and is soon over. */
function paceNow(pace: FsPace, { paceRatio }: RunWatch): FsPace {
  return paceRatio < 1 ? { ...pace, ...FS_GIVE_WAY_GROUP } : pace;
}

function allFail(path: string): MaintenanceError {
  return new MaintenanceError('ERR_ALL_TARGETS_FAILED', `every move on ${path} fails`, {
    nextStep:
      'Nothing was lost. See `dynamicfs defrag status` for the reasons, and the kernel log (dmesg) for the disk.',
  });
}
