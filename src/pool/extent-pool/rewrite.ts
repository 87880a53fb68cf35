/**
 * The rewrite protocol: gives one replica a better place. Defragmentation, evacuation and repair are
 * all this.
 *
 *   1. transaction: note the generation, reserve the target
 *   2. thread: read a replica, verify, write the target, flush, read back from the disk, verify
 *   3. transaction: owner and generation unchanged → swap, generation + 1, old runs to pending
 *   4. on failure or stop: the reservation goes to pending, the extent is as it was
 *
 * Several moves share each transaction and each flush; every one is verified, and fails, on its own.
 *
 * It can run twice, and it can die anywhere: the catalogue names complete, verified replicas at every
 * instant, never fewer than before.
 *
 * Safe while: this process owns the pool (src/agent), so that nobody else rewrites.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { InvariantError, MaintenanceError, type WireError } from '../../domain/errors.js';
import type { MoveControl } from '../../domain/move-tasks.js';
import type { RewriteOutcome, RewriteTask } from '../../domain/tasks.js';
import { totalBytes } from '../../domain/units.js';
import { crashPoint } from '../../kernel/crash-point.js';
import type { ExtentRow } from '../../store/extents.js';
import type { Candidate } from '../../store/rewrite-candidates.js';
import { whenEnded } from '../worker-pool.js';
import { BY_A_READ, noteBadReplicas } from './bad-replicas.js';
import type { PoolContext } from './context.js';
import { countDiskError } from './disk-errors.js';
import { addRecord, type JournalBatch, writeJournals } from './journal-batch.js';
import {
  type Move,
  type Reserved,
  type RewriteGoal,
  reserveTarget,
  type SkipReason,
} from './rewrite-target.js';
import { extentRecord, objectRecord } from './snapshot.js';

export type RewriteResult =
  | {
      readonly kind: 'moved';
      /** Written, in whole blocks. */
      readonly bytes: number;
      readonly fragmentsBefore: number;
      readonly fragmentsAfter: number;
    }
  | { readonly kind: 'skipped'; readonly reason: SkipReason }
  | { readonly kind: 'failed'; readonly error: WireError }
  /** The extent changed meanwhile, or a stop came first: it is as it was and can be tried again. */
  | { readonly kind: 'superseded' | 'not-begun' };

export interface RewriteOptions {
  /** Set the first element to 1 to end after the extent under way. */
  readonly stopFlag?: MoveControl;
  /** Bounds how many tasks are at work; without it, all begin at once. */
  readonly gate?: <T>(task: () => Promise<T>) => Promise<T>;
}

/**
 * Moves some replicas, of as many extents.
 *
 * @returns what came of each, in order.
 * @throws MaintenanceError ERR_TARGET_BUSY when another agent owns the pool now, ERR_STORE; every
 *   extent is as it was then.
 */
export async function rewriteReplicas(
  context: PoolContext,
  moves: readonly Move[],
  options: RewriteOptions = {},
): Promise<RewriteResult[]> {
  const steps = context.store.transaction(() => {
    context.assertOwner();
    return moves.map((move) => ({ move, reserved: reserveTarget(context, move) }));
  });
  crashPoint('rewrite-reserved');
  const begun = steps.flatMap(({ reserved }) => (typeof reserved === 'string' ? [] : [reserved]));
  try {
    const outcomes = begun.length === 0 ? [] : await runTask(context, begun, options);
    // Whoever waits for a thread gets it now; the commit below would keep both waiting.
    await nextTurn();
    crashPoint('rewrite-before-swap');
    const results = settle(context, steps, outcomes);
    crashPoint('rewrite-swapped');
    return results;
  } catch (cause) {
    // Nobody else gets the place before the thread is done with it.
    whenEnded(cause, () =>
      context.store.transaction(() => {
        for (const { owner } of begun) context.releaseReservations(owner);
      }),
    );
    countDiskError(context, cause);
    throw cause;
  }
}

/**
 * Moves one replica.
 *
 * @throws MaintenanceError ERR_CHECKSUM_MISMATCH, ERR_KERNEL and kin when the rewrite failed, or as
 *   `rewriteReplicas`; the extent is as it was.
 */
export async function rewriteReplica(
  context: PoolContext,
  candidate: Candidate,
  goal: RewriteGoal,
): Promise<RewriteResult> {
  const [result] = await rewriteReplicas(context, [{ ...candidate, goal }]);
  if (!result) throw new InvariantError('a move without a result');
  if (result.kind === 'failed') throw MaintenanceError.fromWire(result.error);
  return result;
}

function runTask(
  context: PoolContext,
  begun: readonly Reserved[],
  { stopFlag, gate }: RewriteOptions,
): Promise<RewriteOutcome[]> {
  const task: RewriteTask = {
    stopFlag: stopFlag ?? null,
    extents: begun.map(({ extent, sources, target, writes }) => ({
      sizeBytes: extent.sizeBytes,
      checksum: extent.checksum,
      sources,
      target,
      writes,
    })),
  };
  const paths = task.extents.flatMap(({ sources, target }) =>
    [...sources, target].map(({ path }) => path),
  );
  const run = () => context.workers.run('rewrite-extents', task, paths);
  return gate ? gate(run) : run();
}

interface Step {
  readonly move: Move;
  readonly reserved: Reserved | SkipReason;
}

/** Steps 3 and 4, for all in one transaction: whoever was verified swaps, the others give back. */
function settle(
  context: PoolContext,
  steps: readonly Step[],
  outcomes: readonly RewriteOutcome[],
): RewriteResult[] {
  return context.store.transaction(() => {
    context.assertOwner();
    const journal: JournalBatch = new Map();
    let next = 0;
    const results = steps.map(({ move, reserved }): RewriteResult => {
      if (typeof reserved === 'string') return { kind: 'skipped', reason: reserved };
      const outcome = outcomes[next];
      next += 1;
      if (!outcome) throw new InvariantError('a rewrite without an outcome');
      if (wasWritten(reserved, outcome)) {
        const writtenBytes = totalBytes(reserved.writes.map(({ run }) => run));
        context.store.counters.count(reserved.target.diskId, { writtenBytes });
      }
      return settleOne(context, move, reserved, outcome, journal);
    });
    writeJournals(context, journal);
    crashPoint('rewrite-journaled');
    return results;
  });
}

/** Also what the disk took and did not keep. */
function wasWritten({ sources }: Reserved, outcome: RewriteOutcome): boolean {
  if (outcome.kind !== 'failed') return outcome.kind === 'verified';
  const hadSource = outcome.badReplicas.length < sources.length;
  return hadSource && outcome.error.code === 'ERR_CHECKSUM_MISMATCH';
}

function settleOne(
  context: PoolContext,
  move: Move,
  reserved: Reserved,
  outcome: RewriteOutcome,
  journal: JournalBatch,
): RewriteResult {
  const { extent, owner, fragmentsBefore, writes, target } = reserved;
  const current = context.store.extents.get(extent.extentId);
  const changed = current?.generation !== extent.generation;
  if (!current || changed || outcome.kind !== 'verified') {
    context.releaseReservations(owner);
    // A deleted extent's old place may hold something else by now: no corruption.
    if (!current) return { kind: 'skipped', reason: 'deleted meanwhile' };
    if (changed) return { kind: 'superseded' };
    if (outcome.kind !== 'failed') return { kind: 'not-begun' };
    noteBadReplicas(context, extent.extentId, outcome.badReplicas, BY_A_READ);
    if (outcome.error.code === 'ERR_KERNEL') context.store.health.countError(target.diskId);
    return { kind: 'failed', error: outcome.error };
  }
  noteBadReplicas(context, extent.extentId, outcome.badReplicas, BY_A_READ);
  swap(context, move, reserved, current, journal);
  return {
    kind: 'moved',
    bytes: writes.reduce((sum, { run }) => sum + run.lengthBytes, 0),
    fragmentsBefore,
    fragmentsAfter: target.runs.length,
  };
}

function swap(
  context: PoolContext,
  { extentId, diskId, goal }: Move,
  { target, owner, released }: Reserved,
  current: ExtentRow,
  journal: JournalBatch,
): void {
  const { store } = context;
  store.space.takeReserved(owner);
  if (goal === 're-replicate') store.extents.addReplica(extentId, target);
  else {
    store.extents.replaceReplica(extentId, diskId, target);
    context.release(diskId, released);
  }
  if (target.diskId !== diskId) {
    if (goal !== 're-replicate') addRecord(journal, diskId, ['moved-away', extentId]);
    addRecord(journal, target.diskId, objectRecord(context, current.objectId));
  }
  const moved = { ...current, generation: current.generation + 1 };
  addRecord(journal, target.diskId, extentRecord(moved, target.runs));
}
