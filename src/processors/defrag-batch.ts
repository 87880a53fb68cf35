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
import { type RewriteGoal, rewriteReplica } from '../pool/extent-pool/rewrite.js';
import type { Payload } from '../queue/payloads.js';
import type { Candidate } from '../store/rewrite-candidates.js';
import {
  type BatchReport,
  claimBatch,
  completeRun,
  SUPERSEDED,
  stillRunning,
} from './run-batch.js';

/** Replicas are picked this many at a time: one look at the index serves many batches. */
const PICK_COUNT = 1_000;
const FRAGMENTS_MIN = 2;

interface Work extends Candidate {
  readonly goal: RewriteGoal;
}

/** Runs the batches of one pool. States: idle → working → idle; picks are kept between batches. */
export class DefragBatches {
  readonly #context: PoolContext;
  #picked: { readonly runId: number; readonly work: Work[] } | null = null;

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

    const startedAtMs = this.#context.clock();
    const batch = this.#next(run);
    if (batch.length === 0) {
      this.#finish(run);
      return { outcome: 'done', processedCount: 0, doneBytes: 0 };
    }
    const { processedCount, doneBytes } = await this.#rewriteAll(run, batch);
    const busyMs = this.#context.clock() - startedAtMs;
    this.#context.store.transaction(() => {
      this.#context.store.runs.finishBatch(run.runId, run.batchIndex);
      this.#context.store.runs.addProgress(run.runId, { busyMs });
      this.#context.store.totals.add({ defrag_busy_ms: busyMs });
    });
    const stopped = !stillRunning(this.#context, run.runId);
    if (!stopped && this.#peek(run) === 0) this.#finish(run);
    return { outcome: stopped ? 'stopped' : 'done', processedCount, doneBytes };
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
      if (planned.count === 0) return null;
      return store.runs.insert({
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
    });
  }

  /** Takes the next batch; replicas of one extent never share one, as they share its generation. */
  #next(run: Run): Work[] {
    if (this.#peek(run) === 0) return [];
    const work = this.#picked?.work ?? [];
    const batch: Work[] = [];
    const later: Work[] = [];
    const taken = new Set<number>();
    while (batch.length < INTENSITY_PLANS[run.intensity].extentsPerBatch) {
      const next = work.shift();
      if (!next) break;
      (taken.has(next.extentId) ? later : batch).push(next);
      taken.add(next.extentId);
    }
    work.unshift(...later);
    return batch;
  }

  /** @returns how many replicas are picked and waiting; picks anew when there are none. */
  #peek(run: Run): number {
    if (this.#picked?.runId !== run.runId || this.#picked.work.length === 0) {
      this.#picked = { runId: run.runId, work: this.#pick(run) };
    }
    return this.#picked.work.length;
  }

  #pick(run: Run): Work[] {
    const { candidates } = this.#context.store;
    const withGoal = (goal: RewriteGoal) => (candidate: Candidate) => ({ ...candidate, goal });
    if (run.kind === 'evacuate' && run.diskId !== null) {
      return candidates.onDisk(run.runId, run.diskId, PICK_COUNT).map(withGoal('evacuate'));
    }
    const bad = candidates.bad(run.runId, PICK_COUNT).map(withGoal('repair'));
    const isBad = new Set(bad.map((work) => `${work.extentId}/${work.diskId}`));
    const fragmented = candidates
      .fragmented(run.runId, FRAGMENTS_MIN, PICK_COUNT)
      .filter((work) => !isBad.has(`${work.extentId}/${work.diskId}`));
    return [...bad, ...fragmented.map(withGoal('defrag'))];
  }

  /** As many at a time as the run has threads; asks before each whether to go on. */
  async #rewriteAll(
    run: Run,
    batch: readonly Work[],
  ): Promise<{ processedCount: number; doneBytes: number }> {
    let next = 0;
    let processedCount = 0;
    let doneBytes = 0;
    const lane = async () => {
      for (
        let work = batch[next];
        work && stillRunning(this.#context, run.runId);
        work = batch[next]
      ) {
        next += 1;
        doneBytes += await this.#rewriteOne(run, work);
        processedCount += 1;
      }
    };
    await Promise.all(Array.from({ length: run.threadCount }, lane));
    // What was picked and not begun waits for the run to be resumed.
    this.#picked?.work.unshift(...batch.slice(next));
    return { processedCount, doneBytes };
  }

  /** @returns bytes moved. @throws only what concerns the whole pool; else the extent is excluded. */
  async #rewriteOne(run: Run, work: Work): Promise<number> {
    const { store } = this.#context;
    try {
      const result = await rewriteReplica(this.#context, work, work.goal);
      if (result.kind === 'superseded') return 0;
      store.transaction(() => {
        const count = { processedCount: 1 };
        if (result.kind === 'skipped') {
          store.candidates.exclude(run.runId, work, 'skipped', result.reason);
          store.runs.addProgress(run.runId, { ...count, skippedCount: 1 });
          store.totals.add({ defrag_extents_skipped: 1 });
          return;
        }
        store.runs.addProgress(run.runId, { ...count, doneCount: 1, doneBytes: result.bytes });
        store.totals.add({
          defrag_extents_moved: 1,
          defrag_bytes_moved: result.bytes,
          bad_replicas_repaired: work.goal === 'repair' ? 1 : 0,
        });
        // A target in two pieces may be the best there is; this run does not try again.
        if (result.fragmentsAfter > 1) {
          store.candidates.exclude(run.runId, work, 'skipped', 'no better run of free space');
        }
      });
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

  #finish(run: Run): void {
    const { store, clock } = this.#context;
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
    if (run.kind === 'defrag' && progress?.doneCount === 0) {
      store.settings.write({ defragNotBeforeMs: clock() + FUTILE_PASS_WAIT_MS });
    }
  }
}

function stayedBehind(path: string): MaintenanceError {
  return new MaintenanceError('ERR_SOME_TARGETS_FAILED', `${path} still holds extents`, {
    nextStep: 'See `dynamicfs defrag status` for the reasons; the disk stays in the pool.',
  });
}
