/**
 * Job `defrag-batch`: rewrite the replicas of one batch, a few at a time, on one pool.
 *
 * It also serves evacuation and repair, which differ in what is picked and where it goes. Each extent is
 * committed on its own, so whenever the job ends, early or by SIGKILL, what was moved stays moved.
 */

import { FUTILE_PASS_WAIT_MS, INTENSITY_PLANS } from '../domain/defrag-plan.js';
import { MaintenanceError } from '../domain/errors.js';
import { WHOLE_SCOPE } from '../domain/reclamation.js';
import type { Run } from '../domain/runs.js';
import type { PoolContext } from '../pool/extent-pool/context.js';
import { finishEvacuation } from '../pool/extent-pool/remove-disk.js';
import {
  type RewriteOptions,
  type RewriteResult,
  rewriteReplicas,
} from '../pool/extent-pool/rewrite.js';
import type { Move } from '../pool/extent-pool/rewrite-target.js';
import { TaskGate } from '../pool/task-gate.js';
import { askGovernor } from '../store/governor.js';
import { DefragPicks, IN_FEWER_PIECES } from './defrag-picks.js';
import { governanceOf } from './governance.js';
import { measureBefore } from './payback.js';
import type { DefragPayload } from './pool-work.js';
import { recordRepair } from './repairs.js';
import {
  type BatchReport,
  claimBatch,
  completeRun,
  SUPERSEDED,
  stillRunning,
} from './run-batch.js';
import { RunWatch } from './run-watch.js';
import { isWornOut } from './wear-budget.js';

/** Extents that share a flush and two commits; a stop waits for the one under way only. */
const EXTENTS_PER_TASK_MAX = 8;

/** Runs the batches of one pool. What was picked for a run is kept between its batches. */
export class DefragBatches {
  readonly #context: PoolContext;
  readonly #picks = new Map<number, DefragPicks>();

  constructor(context: PoolContext) {
    this.#context = context;
  }

  /** @throws MaintenanceError ERR_TARGET_BUSY when another agent took the pool over. */
  async process(payload: DefragPayload): Promise<BatchReport | { passRunId: number | null }> {
    if (payload.kind === 'pass') return { passRunId: this.#beginPass() };
    const run = claimBatch(this.#context, payload);
    if (!run) return SUPERSEDED;
    await measureBefore(this.#context, run);

    const { store, clock } = this.#context;
    const startedAtMs = clock();
    const picks = this.#picksOf(run);
    // Looked at before each batch, so a day may end up one batch above its budget.
    const { wearBudgetBytesPerDay } = store.reclamations.scope(run.runId);
    const batch = isWornOut(this.#context, wearBudgetBytesPerDay)
      ? []
      : picks.take(run, INTENSITY_PLANS[run.intensity].extentsPerBatch);
    if (batch.length === 0) {
      this.#finish(run);
      return { outcome: 'done', processedCount: 0, doneBytes: 0 };
    }
    const { processedCount, doneBytes } = await this.#rewriteAll(run, batch, picks);
    const busyMs = clock() - startedAtMs;
    // Its extents are durable. After a power cut the batch is queued once more, and picks others.
    store.transactionWithoutFlush(() => {
      store.runs.finishBatch(run.runId, run.batchIndex);
      store.runs.addProgress(run.runId, { busyMs });
      store.totals.add({ defrag_busy_ms: busyMs });
    });
    const stopped = !stillRunning(this.#context, run.runId);
    if (stopped) this.#forget(run.runId);
    else if (!picks.hasMore(run)) this.#finish(run);
    return { outcome: stopped ? 'stopped' : 'done', processedCount, doneBytes };
  }

  /** Gives back what is held for runs that were stopped or paused between two batches. */
  forgetIdle(): void {
    for (const runId of this.#picks.keys()) {
      if (!stillRunning(this.#context, runId)) this.#forget(runId);
    }
  }

  #picksOf(run: Run): DefragPicks {
    let picks = this.#picks.get(run.runId);
    if (!picks) {
      picks = new DefragPicks(this.#context, run.runId);
      this.#picks.set(run.runId, picks);
    }
    return picks;
  }

  #forget(runId: number): void {
    this.#picks.get(runId)?.release();
    this.#picks.delete(runId);
  }

  /** The minute's pass: begins a run when the pool wants one and has something to move. */
  #beginPass(): number | null {
    const { store, clock } = this.#context;
    return store.transaction(() => {
      const settings = this.#context.settings();
      const nowMs = clock();
      if (!settings.defragEnabled || nowMs < settings.defragNotBeforeMs) return null;
      if (store.runs.open('defrag') || store.reclamations.open()) return null;
      const planned = store.candidates.planFragmented(WHOLE_SCOPE);
      if (planned.count === 0) return null;
      const runId = store.runs.insert({
        kind: 'defrag',
        trigger: 'pass',
        intensity: settings.defragIntensity,
        threadCount: settings.defragThreadCount,
        diskId: null,
        secureErase: false,
        startedAtMs: nowMs,
        plannedCount: planned.count,
        plannedBytes: planned.bytes,
      });
      askGovernor(store, runId, settings.defragIntensity, settings.defragSloMs);
      return runId;
    });
  }

  /**
   * As many tasks at a time as the run has threads, a few extents in each. One task more waits, so
   * that a thread has work while the main thread commits what it did before.
   */
  async #rewriteAll(
    run: Run,
    batch: readonly Move[],
    picks: DefragPicks,
  ): Promise<{ processedCount: number; doneBytes: number }> {
    const gate = new TaskGate(run.threadCount);
    using watch = new RunWatch(this.#context, run, governanceOf(this.#context, run));
    const laneCount = run.threadCount + 1;
    // Who gives way flushes seldom: each flush is felt by others. Else every thread has work at once.
    const size =
      watch.paceRatio < 1
        ? EXTENTS_PER_TASK_MAX
        : Math.min(EXTENTS_PER_TASK_MAX, Math.ceil(batch.length / laneCount));
    const waiting = Array.from({ length: Math.ceil(batch.length / size) }, (_, i) =>
      batch.slice(i * size, (i + 1) * size),
    );
    let processedCount = 0;
    let doneBytes = 0;
    const lane = async () => {
      while (await watch.mayBegin()) {
        const moves = waiting.shift();
        if (!moves) return;
        const startedAtMs = performance.now();
        let inThreadMs = 0;
        const timed: RewriteOptions['gate'] = (task) =>
          gate.run(async () => {
            const result = await task();
            inThreadMs = performance.now() - startedAtMs;
            return result;
          });
        const options = { gate: timed, stopFlag: watch.moves };
        doneBytes += await this.#rewriteSome(run, moves, picks, options);
        processedCount += moves.length;
        // The thread rested for what it did; the commit flushes journals and the catalogue.
        await watch.giveWay(performance.now() - startedAtMs - inThreadMs);
      }
    };
    // All lanes end before an error goes on: a job that fails has nothing under way any more.
    const lanes = await Promise.allSettled(Array.from({ length: laneCount }, lane));
    // What was picked and not begun waits for the run to be resumed.
    picks.putBack(waiting.flat());
    const failure = lanes.find((one) => one.status === 'rejected');
    if (failure) throw failure.reason;
    return { processedCount, doneBytes };
  }

  /** @returns bytes moved. @throws only what concerns the whole pool; else extents are excluded. */
  async #rewriteSome(
    run: Run,
    moves: readonly Move[],
    picks: DefragPicks,
    options: RewriteOptions,
  ): Promise<number> {
    const { store } = this.#context;
    const results = await rewriteReplicas(this.#context, moves, options);
    return store.transaction(() => {
      let movedBytes = 0;
      for (const [index, move] of moves.entries()) {
        const result = results[index];
        if (!result) continue;
        picks.moved(move, result);
        if (run.kind === 'repair') recordRepair(this.#context, run, move, result);
        else this.#record(run, move, result);
        if (result.kind === 'moved') movedBytes += result.bytes;
        if (result.kind === 'not-begun') picks.putBack([move]);
      }
      return movedBytes;
    });
  }

  /** Safe while: in a transaction. */
  #record(run: Run, move: Move, result: RewriteResult): void {
    const { candidates, runs, totals } = this.#context.store;
    const forOthers = move.goal === 'make-room' || move.goal === 'leave-reserve';
    if (result.kind === 'skipped') {
      const reason = forOthers ? 'could not move aside' : result.reason;
      candidates.exclude(run.runId, move, 'skipped', reason);
      if (!forOthers) runs.addProgress(run.runId, { processedCount: 1, skippedCount: 1 });
    } else if (result.kind === 'failed') {
      candidates.exclude(run.runId, move, 'failed', result.error.message);
      runs.addProgress(run.runId, { processedCount: 1, failedCount: 1 });
      totals.add({ defrag_errors: 1 });
    } else if (result.kind === 'moved' && forOthers) {
      totals.add({ defrag_extents_relocated: 1, defrag_bytes_relocated: result.bytes });
    } else if (result.kind === 'moved') {
      const doneBytes = result.bytes;
      runs.addProgress(run.runId, { processedCount: 1, doneCount: 1, doneBytes });
      if (run.kind === 'tier') {
        totals.add({ tier_replicas_moved: 1, tier_bytes_moved: doneBytes });
        return;
      }
      totals.add({
        defrag_extents_moved: 1,
        defrag_bytes_moved: doneBytes,
      });
      // The best that there is now; tried again once room was made.
      if (result.fragmentsAfter > 1) {
        candidates.exclude(run.runId, move, 'skipped', IN_FEWER_PIECES);
      }
    }
  }

  #finish(run: Run): void {
    const { store, clock } = this.#context;
    this.#forget(run.runId);
    if (run.kind === 'evacuate' && run.diskId !== null) {
      const disk = store.disks.get(run.diskId);
      if (disk && !finishEvacuation(this.#context, disk)) {
        store.disks.setEvacuating(disk.diskId, false);
        store.runs.setState(run.runId, 'failed', clock(), stayedBehind(disk.path).toWire());
        return;
      }
    }
    completeRun(this.#context, run);
    const progress = store.runs.get(run.runId)?.progress;
    if (run.kind !== 'defrag' || !progress) return;
    store.totals.add({ defrag_extents_skipped: progress.skippedCount });
    if (progress.doneCount === 0) {
      store.settings.write({ defragNotBeforeMs: clock() + FUTILE_PASS_WAIT_MS });
    }
  }
}

function stayedBehind(path: string): MaintenanceError {
  return new MaintenanceError('ERR_SOME_TARGETS_FAILED', `${path} still holds extents`, {
    nextStep: 'See `dynamicfs defrag status` for the reasons; the disk stays in the pool.',
  });
}
