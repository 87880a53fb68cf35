/**
 * Job `defrag-batch`: rewrite the replicas of one batch, a few at a time, on one pool.
 *
 * It also serves evacuation, which differs only in what is picked and where it goes. Each extent is
 * committed on its own, so whenever the job ends, early or by SIGKILL, what was moved stays moved.
 */

import { FUTILE_PASS_WAIT_MS, INTENSITY_PLANS } from '../domain/defrag-plan.js';
import { asMaintenanceError, MaintenanceError } from '../domain/errors.js';
import type { Run } from '../domain/runs.js';
import type { PoolContext } from '../pool/extent-pool/context.js';
import { finishEvacuation } from '../pool/extent-pool/remove-disk.js';
import { type RewriteResult, rewriteReplica } from '../pool/extent-pool/rewrite.js';
import type { Payload } from '../queue/payloads.js';
import { DefragPicks, FRAGMENTS_MIN, IN_FEWER_PIECES, type Work } from './defrag-picks.js';
import {
  type BatchReport,
  claimBatch,
  completeRun,
  SUPERSEDED,
  stillRunning,
} from './run-batch.js';

/** Runs the batches of one pool. What was picked for a run is kept between its batches. */
export class DefragBatches {
  readonly #context: PoolContext;
  readonly #picks = new Map<number, DefragPicks>();

  constructor(context: PoolContext) {
    this.#context = context;
  }

  /** @throws MaintenanceError ERR_TARGET_BUSY when another agent took the pool over. */
  async process(
    payload: Payload<'defrag-batch'>,
  ): Promise<BatchReport | { passRunId: number | null }> {
    if (payload.kind === 'pass') return { passRunId: this.#beginPass() };
    const run = claimBatch(this.#context, payload);
    if (!run) return SUPERSEDED;

    const { store, clock } = this.#context;
    const startedAtMs = clock();
    const picks = this.#picksOf(run);
    const batch = picks.take(run, INTENSITY_PLANS[run.intensity].extentsPerBatch);
    if (batch.length === 0) {
      this.#finish(run);
      return { outcome: 'done', processedCount: 0, doneBytes: 0 };
    }
    const { processedCount, doneBytes } = await this.#rewriteAll(run, batch, picks);
    const busyMs = clock() - startedAtMs;
    store.transaction(() => {
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
      picks = new DefragPicks(this.#context);
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
      if (store.runs.open('defrag')) return null;
      const planned = store.candidates.planFragmented(FRAGMENTS_MIN);
      const badCount = store.extents.badReplicas().length;
      if (planned.count + badCount === 0) return null;
      return store.runs.insert({
        kind: 'defrag',
        trigger: 'pass',
        intensity: settings.defragIntensity,
        threadCount: settings.defragThreadCount,
        diskId: null,
        secureErase: false,
        startedAtMs: nowMs,
        plannedCount: planned.count + badCount,
        plannedBytes: planned.bytes,
      });
    });
  }

  /** As many at a time as the run has threads; asks before each whether to go on. */
  async #rewriteAll(
    run: Run,
    batch: readonly Work[],
    picks: DefragPicks,
  ): Promise<{ processedCount: number; doneBytes: number }> {
    let next = 0;
    let processedCount = 0;
    let doneBytes = 0;
    const lane = async () => {
      while (stillRunning(this.#context, run.runId)) {
        const work = batch[next];
        if (!work) return;
        next += 1;
        doneBytes += await this.#rewriteOne(run, work, picks);
        processedCount += 1;
      }
    };
    const lanes = Array.from({ length: run.threadCount }, lane);
    // All lanes end before an error goes on: a job that fails has nothing under way any more.
    const failure = (await Promise.allSettled(lanes)).find((one) => one.status === 'rejected');
    // What was picked and not begun waits for the run to be resumed.
    picks.putBack(batch.slice(next));
    if (failure) throw failure.reason;
    return { processedCount, doneBytes };
  }

  /** @returns bytes moved. @throws only what concerns the whole pool; else the extent is excluded. */
  async #rewriteOne(run: Run, work: Work, picks: DefragPicks): Promise<number> {
    const { store } = this.#context;
    try {
      const result = await rewriteReplica(this.#context, work, work.goal);
      picks.moved(work, result);
      if (result.kind === 'superseded') return 0;
      store.transaction(() => this.#record(run, work, result));
      return result.kind === 'moved' ? result.bytes : 0;
    } catch (cause) {
      const error = asMaintenanceError(cause);
      if (error.code === 'ERR_TARGET_BUSY' || error.code === 'ERR_STORE') throw error;
      store.transaction(() => {
        store.candidates.exclude(run.runId, work, 'failed', error.message);
        store.runs.addProgress(run.runId, { processedCount: 1, failedCount: 1 });
        store.totals.add({ defrag_errors: 1 });
      });
      return 0;
    }
  }

  /** Safe while: in a transaction. */
  #record(run: Run, work: Work, result: Exclude<RewriteResult, { kind: 'superseded' }>): void {
    const { store } = this.#context;
    const forOthers = work.goal === 'make-room' || work.goal === 'leave-reserve';
    if (result.kind === 'skipped') {
      const reason = forOthers ? 'could not move aside' : result.reason;
      store.candidates.exclude(run.runId, work, 'skipped', reason);
      if (!forOthers) store.runs.addProgress(run.runId, { processedCount: 1, skippedCount: 1 });
      return;
    }
    if (forOthers) {
      store.totals.add({ defrag_extents_relocated: 1, defrag_bytes_relocated: result.bytes });
      return;
    }
    store.runs.addProgress(run.runId, {
      processedCount: 1,
      doneCount: 1,
      doneBytes: result.bytes,
    });
    store.totals.add({
      defrag_extents_moved: 1,
      defrag_bytes_moved: result.bytes,
      bad_replicas_repaired: work.goal === 'repair' ? 1 : 0,
    });
    // The best that there is now; tried again once room was made.
    if (result.fragmentsAfter > 1) {
      store.candidates.exclude(run.runId, work, 'skipped', IN_FEWER_PIECES);
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
