/** Step 1 of the rewrite protocol: where a replica goes, reserved, and where its content comes from. */

import type { Tier } from '../../domain/heat.js';
import { chooseDisks } from '../../domain/placement.js';
import {
  insideWindow,
  movePieces,
  moveWhole,
  type PlacedWrite,
  type ReplicaLayout,
} from '../../domain/replica-layout.js';
import type { ReplicaLocation } from '../../domain/tasks.js';
import { type ByteRun, totalBytes } from '../../domain/units.js';
import type { DiskRow } from '../../store/disks.js';
import type { ExtentRow } from '../../store/extents.js';
import type { Candidate } from '../../store/rewrite-candidates.js';
import type { PoolContext } from './context.js';
import { allocatedBytes } from './layout.js';
import { placementDisks } from './reserve-space.js';

/**
 * `defrag` wants one piece, `lessen` settles for half as many. `make-room` and `leave-reserve` move
 * extents that are well where they are, for the sake of others. `re-replicate` replaces nothing: it
 * makes one replica more, since that on `diskId` may count again one day.
 */
export type RewriteGoal =
  | 'defrag'
  | 'lessen'
  | 'evacuate'
  | 'repair'
  | 're-replicate'
  | 'retier'
  | 'make-room'
  | 'leave-reserve';

/** One replica, where it lies now, and why it is to move. */
export interface Move extends Candidate {
  readonly goal: RewriteGoal;
  /** With `make-room`: a replica in pieces moves only those that lie here. */
  readonly window?: ByteRun;
}

export const NO_BETTER_RUN = 'no better run of free space';
/** Moving it would put the only good copies through a write that nobody has to make now. */
const WAITS_FOR_REPAIR = 'fewer good replicas than wanted';

export type SkipReason =
  | typeof NO_BETTER_RUN
  | 'already contiguous'
  | 'disk not writable'
  | 'deleted meanwhile'
  | 'no other disk with room'
  | 'too few good replicas'
  | 'enough good replicas'
  | typeof WAITS_FOR_REPAIR;

export interface Reserved {
  readonly extent: ExtentRow;
  readonly fragmentsBefore: number;
  readonly target: ReplicaLocation;
  readonly writes: readonly PlacedWrite[];
  /** Of the old replica: what the new one does not use. */
  readonly released: readonly ByteRun[];
  readonly sources: readonly ReplicaLocation[];
  readonly owner: string;
}

/** @returns why the move is not worth it or not possible now, or what was reserved for it. */
export function reserveTarget(
  context: PoolContext,
  { extentId, diskId, goal, window }: Move,
): Reserved | SkipReason {
  const { store } = context;
  return store.transaction(() => {
    const extent = store.extents.get(extentId);
    const replicas = store.extents.replicas(extentId);
    const fromRuns = replicas.find((replica) => replica.diskId === diskId)?.runs;
    if (!extent || !fromRuns) return 'deleted meanwhile';
    if ((goal === 'defrag' || goal === 'lessen') && fromRuns.length <= 1)
      return 'already contiguous';
    const sources = orderSources(context, extentId, diskId, goal);
    if (sources.length === 0) return 'too few good replicas';
    const isShort = context.goodReplicaCount(extentId) < extent.replicaCount;
    if (goal === 're-replicate' && !isShort) return 'enough good replicas';
    const holders = new Set(replicas.map((replica) => replica.diskId));
    const targets = targetDisks(context, extent, diskId, goal, holders);
    if (targets.length === 0) return 'no other disk with room';
    let reason: SkipReason = 'disk not writable';
    for (const targetDisk of targets) {
      const { condition, file } = context.diskState(targetDisk);
      if (condition !== 'online' || !file || targetDisk.journalStale) continue;
      if (!isForSafety(goal) && isShort) return WAITS_FOR_REPAIR;
      const owner = context.writer.newOwner();
      const request = { diskId: targetDisk.diskId, owner, goal };
      const layout =
        window && fromRuns.length > 1
          ? layOutPieces(context, fromRuns, window, request)
          : layOutWhole(context, fromRuns, allocatedBytes(extent.sizeBytes), request);
      reason = NO_BETTER_RUN;
      if (!layout) continue;
      const { runs, writes, released } = layout;
      const target = { diskId: targetDisk.diskId, path: file.path, runs };
      const fragmentsBefore = fromRuns.length;
      return { extent, fragmentsBefore, target, writes, released, sources, owner };
    }
    return reason;
  });
}

/** What must go on while copies are missing, since it is what brings them back. */
function isForSafety(goal: RewriteGoal): boolean {
  return goal === 'repair' || goal === 'evacuate' || goal === 're-replicate';
}

/** Where the replica may go, the best first. */
function targetDisks(
  context: PoolContext,
  extent: ExtentRow,
  fromDiskId: number,
  goal: RewriteGoal,
  holders: ReadonlySet<number>,
): DiskRow[] {
  const { disks, repairs } = context.store;
  const same = disks.get(fromDiskId);
  const here = same ? [same] : [];
  if (!isForSafety(goal) && goal !== 'retier') return here;
  const onlyTier = goal === 'retier' ? extent.tier : null;
  const otherId = chooseOtherDisk(context, extent, onlyTier, holders);
  const other = otherId === null ? null : disks.get(otherId);
  const elsewhere = other ? [other] : [];
  if (goal !== 'repair') return elsewhere;
  // A disk that has failed to keep a repair once is not asked first again.
  const hasFailed = repairs.failureCount({ extentId: extent.extentId, diskId: fromDiskId }) > 0;
  return hasFailed ? [...elsewhere, ...here] : [...here, ...elsewhere];
}

function layOutWhole(
  context: PoolContext,
  from: readonly ByteRun[],
  lengthBytes: number,
  request: Pick<RunRequest, 'diskId' | 'owner' | 'goal'>,
): ReplicaLayout | null {
  const to = reserveRuns(context, { ...request, lengthBytes, fragmentCount: from.length });
  return to && moveWhole(from, to);
}

function layOutPieces(
  context: PoolContext,
  from: readonly ByteRun[],
  window: ByteRun,
  request: Pick<RunRequest, 'diskId' | 'owner' | 'goal'>,
): ReplicaLayout | null {
  const leaving = insideWindow(from, window);
  const lengthBytes = totalBytes(leaving);
  if (lengthBytes === 0) return null;
  const to = reserveRuns(context, { ...request, lengthBytes, fragmentCount: leaving.length });
  return to && movePieces(from, window, to);
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
    're-replicate': undefined,
    // A faster disk is no gain for what lies there in more pieces.
    retier: fragmentCount,
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
  { sizeBytes, tier }: ExtentRow,
  onlyTier: Tier | null,
  holders: ReadonlySet<number>,
): number | null {
  const disks = placementDisks(context).filter(
    (disk) => onlyTier === null || disk.tier === onlyTier,
  );
  return chooseDisks(disks, allocatedBytes(sizeBytes), 1, tier, holders)[0] ?? null;
}
