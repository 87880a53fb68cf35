/**
 * Which replicas a run rewrites next.
 *
 * Fragmented ones, the hottest first; into one piece, or else into fewer.
 * When no free run is left for the others, room is made: windows are cleared, and the run tries
 * again, until that makes nothing contiguous any more. Last, what was put into a disk's reserve
 * leaves it, so that the next run has one.
 */

import type { RunScope } from '../domain/reclamation.js';
import type { Run } from '../domain/runs.js';
import type { PoolContext } from '../pool/extent-pool/context.js';
import { dropCovered, readableDegraded } from '../pool/extent-pool/disk-watch.js';
import type { RewriteResult } from '../pool/extent-pool/rewrite.js';
import { type Move, NO_BETTER_RUN, type RewriteGoal } from '../pool/extent-pool/rewrite-target.js';
import { RoomMaker } from '../pool/extent-pool/room-maker.js';
import type { Candidate } from '../store/rewrite-candidates.js';

/** Replicas are picked this many at a time: one look at the index serves many batches. */
const PICK_COUNT = 1_000;
/** Fewer, since a bad replica that is read meanwhile goes first. */
const COPY_COUNT = 64;

/** Why a replica that was moved is left alone until there is room for it in one piece. */
export const IN_FEWER_PIECES = 'in fewer pieces, not in one';

/** The picks of one run. */
export class DefragPicks {
  readonly #context: PoolContext;
  readonly #scope: RunScope;
  readonly #room: RoomMaker;
  #moves: Move[] = [];
  /** Fragmented replicas that became contiguous since room was last made; null before the first time. */
  #contiguousCount: number | null = null;
  /** Moved once already into fewer pieces: a second move must end in one. */
  readonly #lessened = new Set<string>();

  constructor(context: PoolContext, runId: number) {
    this.#context = context;
    this.#scope = context.store.reclamations.scope(runId);
    this.#room = new RoomMaker(context);
  }

  /** The next batch; replicas of one extent never share one, as they share its generation. */
  take(run: Run, count: number): Move[] {
    if (!this.hasMore(run)) return [];
    const batch: Move[] = [];
    const later: Move[] = [];
    const taken = new Set<number>();
    while (batch.length < count) {
      const next = this.#moves.shift();
      if (!next) break;
      (taken.has(next.extentId) ? later : batch).push(next);
      taken.add(next.extentId);
    }
    this.#moves.unshift(...later);
    return batch;
  }

  hasMore(run: Run): boolean {
    if (this.#moves.length === 0) this.#moves = this.#pick(run);
    return this.#moves.length > 0;
  }

  /** What a batch did not begin. */
  putBack(moves: readonly Move[]): void {
    this.#moves.unshift(...moves);
  }

  /** Called after each rewrite, before anything else is allocated. */
  moved(move: Move, result: RewriteResult): void {
    if (move.goal === 'make-room') this.#room.keep(move);
    // Neighbours that moved aside are no progress: counting them, room could be made for ever.
    const isOwnGain = move.goal === 'defrag' || move.goal === 'lessen';
    if (result.kind !== 'moved' || !isOwnGain) return;
    if (result.fragmentsAfter > 1) this.#lessened.add(keyOf(move));
    else if (this.#contiguousCount !== null) this.#contiguousCount += 1;
  }

  /** Gives back the space that is held. What was picked is void then. */
  release(): void {
    this.#room.release();
  }

  #pick(run: Run): Move[] {
    const { candidates } = this.#context.store;
    if (run.kind === 'evacuate') {
      const diskId = run.diskId ?? 0;
      for (let n = dropCovered(this.#context, diskId); n > 0; ) {
        this.#context.store.runs.addProgress(run.runId, { processedCount: n, doneCount: n });
        n = dropCovered(this.#context, diskId);
      }
      const onDisk = candidates.onDisk(run.runId, diskId, PICK_COUNT);
      return withGoal('evacuate', onDisk);
    }
    if (run.kind === 'repair') {
      return this.#pickRepairs(run.runId);
    }
    if (run.kind === 'tier') {
      const { tiers } = this.#context.store;
      return withGoal('retier', tiers.misplaced(run.runId, PICK_COUNT));
    }
    const direct = this.#pickDirect(run.runId);
    if (direct.length > 0) return direct;
    const afterRoom = this.#room.isHolding ? this.#useRoom(run.runId) : [];
    if (afterRoom.length > 0) return afterRoom;
    const room = this.#makeRoom(run.runId);
    if (room.length > 0) return room;
    return withGoal('leave-reserve', candidates.inReserve(run.runId, PICK_COUNT));
  }

  /** What somebody read goes before what a failed disk held. */
  #pickRepairs(runId: number): Move[] {
    const { store, clock } = this.#context;
    const due = store.repairs.due(runId, clock(), PICK_COUNT);
    if (due.length > 0) return withGoal('repair', due);
    const readable = readableDegraded(this.#context);
    return withGoal('re-replicate', store.health.short(runId, readable, COPY_COUNT));
  }

  #pickDirect(runId: number): Move[] {
    return this.#context.store.candidates
      .fragmented(runId, this.#scope, PICK_COUNT)
      .map((candidate) => ({
        ...candidate,
        goal: this.#lessened.has(keyOf(candidate)) ? ('defrag' as const) : ('lessen' as const),
      }));
  }

  /** Clears windows for what did not become contiguous, as long as the last time helped. */
  #makeRoom(runId: number): Move[] {
    if (this.#contiguousCount === 0) return [];
    this.#contiguousCount = 0;
    const leaving = this.#context.store.candidates
      .blocked(runId, [NO_BETTER_RUN, IN_FEWER_PIECES])
      .flatMap(({ diskId, sizeBytesMax, count }) => this.#room.hold(diskId, sizeBytesMax, count));
    if (leaving.length > 0) return leaving;
    // A window may consist of free and pending space side by side: nothing has to move.
    return this.#room.isHolding ? this.#useRoom(runId) : [];
  }

  /** Gives the windows to those that waited for them; what counted as settled is open again. */
  #useRoom(runId: number): Move[] {
    const { store } = this.#context;
    this.#room.release();
    store.transaction(() => {
      const skippedCount = store.candidates.readmit(runId, NO_BETTER_RUN);
      const doneCount = store.candidates.readmit(runId, IN_FEWER_PIECES);
      store.runs.addProgress(runId, {
        processedCount: -skippedCount - doneCount,
        skippedCount: -skippedCount,
        doneCount: -doneCount,
      });
    });
    return this.#pickDirect(runId);
  }
}

function keyOf({ extentId, diskId }: Candidate): string {
  return `${extentId}/${diskId}`;
}

function withGoal(goal: RewriteGoal, candidates: readonly Candidate[]): Move[] {
  return candidates.map(({ extentId, diskId }) => ({ extentId, diskId, goal }));
}
