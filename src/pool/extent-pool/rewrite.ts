/**
 * The rewrite protocol: gives one replica a better place. Defragmentation, evacuation and repair are
 * all this.
 *
 *   1. transaction: note the generation, reserve the target
 *   2. thread: read a replica, verify, write the target, flush, read back from the disk, verify
 *   3. transaction: owner and generation unchanged → swap, generation + 1, old runs to pending
 *   4. on failure or stop: the reservation goes to pending, the extent is as it was
 *
 * It can run twice, and it can die anywhere: the catalogue names complete, verified replicas at every
 * instant, never fewer than before.
 *
 * Safe while: this process owns the pool (src/agent), so that nobody else rewrites.
 */

import { asMaintenanceError } from '../../domain/errors.js';
import { chooseDisks } from '../../domain/placement.js';
import type { ReplicaLocation, RewriteOutcome } from '../../domain/tasks.js';
import type { ByteRun } from '../../domain/units.js';
import { crashPoint } from '../../kernel/crash-point.js';
import type { ExtentRow } from '../../store/extents.js';
import type { Candidate } from '../../store/rewrite-candidates.js';
import type { PoolContext } from './context.js';
import { backingPath } from './data-file.js';
import { addRecord, type JournalBatch, writeJournals } from './journal-batch.js';
import { allocatedBytes } from './layout.js';
import { placementDisks } from './reserve-space.js';
import { extentRecord, objectRecord } from './snapshot.js';

/**
 * `defrag` wants one piece, `lessen` settles for half as many. `make-room` and `leave-reserve` move
 * extents that are well where they are, for the sake of others.
 */
export type RewriteGoal =
  | 'defrag'
  | 'lessen'
  | 'evacuate'
  | 'repair'
  | 'make-room'
  | 'leave-reserve';

export type RewriteResult =
  | {
      readonly kind: 'moved';
      readonly bytes: number;
      readonly fragmentsBefore: number;
      readonly fragmentsAfter: number;
    }
  | { readonly kind: 'skipped'; readonly reason: SkipReason }
  /** Not this time, and not for a reason of the extent: try the run's next batch. */
  | { readonly kind: 'superseded' };

export const NO_BETTER_RUN = 'no better run of free space';

export type SkipReason =
  | typeof NO_BETTER_RUN
  | 'already contiguous'
  | 'disk not writable'
  | 'deleted meanwhile'
  | 'no other disk with room'
  | 'too few good replicas';

interface Reserved {
  readonly extent: ExtentRow;
  readonly fromRuns: readonly ByteRun[];
  readonly target: ReplicaLocation;
  readonly sources: readonly ReplicaLocation[];
  readonly owner: string;
}

/**
 * @throws MaintenanceError ERR_CHECKSUM_MISMATCH, ERR_KERNEL and kin when the rewrite failed, and
 *   ERR_TARGET_BUSY when another agent owns the pool now; the extent is as it was.
 */
export async function rewriteReplica(
  context: PoolContext,
  candidate: Candidate,
  goal: RewriteGoal,
): Promise<RewriteResult> {
  const reserved = reserveTarget(context, candidate, goal);
  if ('kind' in reserved) return reserved;
  crashPoint('rewrite-reserved');
  const { extent, target, sources, owner } = reserved;
  try {
    const outcome = await context.workers.run('rewrite-extent', {
      sizeBytes: extent.sizeBytes,
      checksum: extent.checksum,
      sources,
      target,
    });
    recordBadSources(context, extent, outcome);
    crashPoint('rewrite-before-swap');
    const swapped = swap(context, candidate, reserved);
    crashPoint('rewrite-swapped');
    if (!swapped) return { kind: 'superseded' };
  } catch (cause) {
    context.store.transaction(() => context.releaseReservations(owner));
    const error = asMaintenanceError(cause);
    const current = context.store.extents.get(extent.extentId);
    // A deleted extent's old place may hold something else by now: no corruption.
    if (error.code === 'ERR_CHECKSUM_MISMATCH' && current?.generation !== extent.generation) {
      return { kind: 'skipped', reason: 'deleted meanwhile' };
    }
    throw error;
  }
  return {
    kind: 'moved',
    bytes: extent.sizeBytes,
    fragmentsBefore: reserved.fromRuns.length,
    fragmentsAfter: target.runs.length,
  };
}

function reserveTarget(
  context: PoolContext,
  { extentId, diskId }: Candidate,
  goal: RewriteGoal,
): Reserved | RewriteResult {
  const skip = (reason: SkipReason): RewriteResult => ({ kind: 'skipped', reason });
  const { store } = context;
  return store.transaction(() => {
    context.assertOwner();
    const extent = store.extents.get(extentId);
    const replicas = store.extents.replicas(extentId);
    const fromRuns = replicas.find((replica) => replica.diskId === diskId)?.runs;
    if (!extent || !fromRuns) return skip('deleted meanwhile');
    if ((goal === 'defrag' || goal === 'lessen') && fromRuns.length <= 1)
      return skip('already contiguous');
    const sources = orderSources(context, extentId, diskId, goal);
    if (sources.length === 0) return skip('too few good replicas');

    const lengthBytes = allocatedBytes(extent.sizeBytes);
    const holders = new Set(replicas.map((replica) => replica.diskId));
    const targetDiskId =
      goal === 'evacuate' ? chooseOtherDisk(context, extent, lengthBytes, holders) : diskId;
    if (targetDiskId === null) return skip('no other disk with room');
    const targetDisk = store.disks.get(targetDiskId);
    if (!targetDisk || context.diskState(targetDisk).condition !== 'online') {
      return skip('disk not writable');
    }
    const owner = context.writer.newOwner();
    const runs = reserveRuns(context, {
      diskId: targetDiskId,
      lengthBytes,
      owner,
      goal,
      fragmentCount: fromRuns.length,
    });
    if (!runs) return skip(NO_BETTER_RUN);
    const target = { diskId: targetDiskId, path: backingPath(targetDisk.path), runs };
    return { extent, fromRuns, target, sources, owner };
  });
}

interface RunRequest {
  readonly diskId: number;
  readonly lengthBytes: number;
  readonly owner: string;
  readonly goal: RewriteGoal;
  /** Of the replica that is to be replaced. */
  readonly fragmentCount: number;
}

/** In one piece, if need be from the reserve; else in as few as make the move worth its writes. */
function reserveRuns(context: PoolContext, request: RunRequest): ByteRun[] | null {
  const { diskId, lengthBytes, owner, goal, fragmentCount } = request;
  const { allocator } = context;
  const whole =
    allocator.reserveContiguous(diskId, lengthBytes, owner) ??
    (goal === 'leave-reserve'
      ? null
      : allocator.reserveContiguous(diskId, lengthBytes, owner, 'reserve'));
  if (whole) return [whole];
  const fragmentsMax = {
    defrag: 0,
    // Less gain than half is not worth writing the extent again.
    lessen: Math.floor(fragmentCount / 2),
    // Whoever moves for another's sake must not be worse off.
    'make-room': fragmentCount,
    'leave-reserve': 0,
    evacuate: undefined,
    repair: undefined,
  }[goal];
  return allocator.reserve(diskId, lengthBytes, owner, fragmentsMax);
}

/** A repair never trusts the replica that it replaces; the others read best from the fewest pieces. */
function orderSources(
  context: PoolContext,
  extentId: number,
  diskId: number,
  goal: RewriteGoal,
): ReplicaLocation[] {
  const sources = context.readableReplicas(extentId);
  return goal === 'repair' ? sources.filter((source) => source.diskId !== diskId) : sources;
}

function chooseOtherDisk(
  context: PoolContext,
  extent: ExtentRow,
  lengthBytes: number,
  holders: ReadonlySet<number>,
): number | null {
  const disks = placementDisks(context);
  return chooseDisks(disks, lengthBytes, 1, extent.tier, holders)[0] ?? null;
}

/** @returns false when the extent changed meanwhile; the target is pending then. */
function swap(context: PoolContext, { extentId, diskId }: Candidate, reserved: Reserved): boolean {
  const { store } = context;
  const { target, owner, extent, fromRuns } = reserved;
  return store.transaction(() => {
    context.assertOwner();
    const current = store.extents.get(extentId);
    if (!current || current.generation !== extent.generation) {
      context.releaseReservations(owner);
      return false;
    }
    store.space.takeReserved(owner);
    store.extents.replaceReplica(extentId, diskId, target);
    context.release(diskId, fromRuns);

    const journal: JournalBatch = new Map();
    const moved = { ...current, generation: current.generation + 1 };
    if (target.diskId !== diskId) {
      addRecord(journal, diskId, ['moved-away', extentId]);
      addRecord(journal, target.diskId, objectRecord(context, current.objectId));
    }
    addRecord(journal, target.diskId, extentRecord(moved, target.runs));
    writeJournals(context, journal);
    crashPoint('rewrite-journaled');
    return true;
  });
}

function recordBadSources(
  context: PoolContext,
  extent: ExtentRow,
  { badReplicas }: RewriteOutcome,
): void {
  const stillBad = badReplicas.filter(({ diskId }) =>
    context.store.extents.replicas(extent.extentId).some((replica) => replica.diskId === diskId),
  );
  if (stillBad.length === 0) return;
  const nowMs = context.clock();
  context.store.transaction(() => {
    for (const { diskId, reason } of stillBad) {
      context.store.extents.recordBadReplica(extent.extentId, diskId, reason, nowMs);
    }
    context.store.totals.add({ bad_replicas_seen: stillBad.length });
  });
}
