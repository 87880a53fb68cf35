/** Looks which disks are there, and keeps what is known of their health; see src/domain/disk-health.ts. */

import { isUnfit, NEW_DISK_HEALTH, nextHealth } from '../../domain/disk-health.js';
import type { DiskRow } from '../../store/disks.js';
import type { PoolContext } from './context.js';
import { countingErrors } from './disk-errors.js';
import { addRecord, type JournalBatch, writeJournals } from './journal-batch.js';
import { hasStaleJournal, repairJournals } from './snapshot.js';

/** Extents that lose a replica in one transaction. */
const SURPLUS_AT_A_TIME = 200;

/** @returns whether the health of any disk changed. */
export function lookAtDisks(context: PoolContext, graceMs: number): boolean {
  context.refreshDisks();
  const { store } = context;
  let changed = false;
  for (const disk of store.disks.all()) {
    const problem = problemOf(context, disk);
    const before = store.health.get(disk.diskId);
    const after = nextHealth(before, { problem, nowMs: context.clock(), graceMs });
    if (after === before) continue;
    store.transaction(() => {
      context.assertOwner();
      // What it missed while it was away is written anew once it counts again.
      if (isUnfit(after.state)) store.disks.markJournalStale(disk.diskId);
      store.health.set(disk.diskId, after);
    });
    changed = true;
    if (after.state === 'healthy') repairJournals(context);
  }
  const returned = context.takeReturned();
  if (returned.length > 0) {
    store.transaction(() => {
      context.assertOwner();
      for (const diskId of returned) store.disks.markJournalStale(diskId);
    });
    repairJournals(context);
  } else if (hasStaleJournal(context)) {
    repairJournals(context);
  }
  // What it is asked now must have come back by the next look, or by the one after.
  context.probeDisks();
  return changed;
}

function problemOf(context: PoolContext, disk: DiskRow): string | null {
  const { file, error, silence } = context.diskState(disk);
  if (file) return null;
  return silence ?? error?.message ?? 'cannot be read';
}

/** Degraded disks that can be read all the same. */
export function readableDegraded(context: PoolContext): number[] {
  return context.store.disks
    .all()
    .filter((disk) => context.store.health.get(disk.diskId).state === 'degraded')
    .filter((disk) => context.diskState(disk).file !== null)
    .map((disk) => disk.diskId);
}

/** All that could be verified on a disk that was away is verified: it counts like any other. */
export function welcomeBack(context: PoolContext, diskId: number): void {
  const { store } = context;
  store.transaction(() => {
    context.assertOwner();
    if (store.health.get(diskId).state !== 'returning') return;
    store.health.set(diskId, { ...NEW_DISK_HEALTH, sinceMs: context.clock() });
    store.repairs.tryAllAgain();
  });
  repairJournals(context);
}

/**
 * Takes its replicas from a disk that has failed, where other disks have enough good ones: nothing has
 * to move for it to go.
 *
 * @returns how many.
 */
export function dropCovered(context: PoolContext, diskId: number): number {
  const { store } = context;
  if (store.health.get(diskId).state === 'healthy') return 0;
  const drop = () => {
    context.assertOwner();
    const journal: JournalBatch = new Map();
    const extentIds = store.health.covered(diskId, SURPLUS_AT_A_TIME);
    for (const extentId of extentIds) dropReplica(context, extentId, diskId, journal);
    writeJournals(context, journal);
    return extentIds.length;
  };
  return countingErrors(context, () => store.transaction(drop));
}

function dropReplica(
  context: PoolContext,
  extentId: number,
  diskId: number,
  journal: JournalBatch,
): void {
  const { extents } = context.store;
  const replica = extents.replicas(extentId).find((one) => one.diskId === diskId);
  if (!replica) return;
  extents.dropReplica(extentId, diskId);
  context.release(diskId, replica.runs);
  addRecord(journal, diskId, ['moved-away', extentId]);
}

/**
 * Takes one replica from some extents of a disk that have more than they want: from the disk with the
 * least room. What is bad goes first.
 *
 * @returns of how many.
 */
export function dropSurplus(context: PoolContext, diskId: number): number {
  const { store } = context;
  return store.transaction(() => {
    context.assertOwner();
    const journal: JournalBatch = new Map();
    const extentIds = store.health.surplus(diskId, SURPLUS_AT_A_TIME);
    const room = new Map(
      store.disks.all().map((disk) => [disk.diskId, context.allocator.usableBytes(disk)]),
    );
    for (const extentId of extentIds) {
      const bad = store.repairs.badDisksOf(extentId);
      const [least] = [...store.extents.replicas(extentId)].sort(
        (a, b) =>
          Number(bad.has(b.diskId)) - Number(bad.has(a.diskId)) ||
          (room.get(a.diskId) ?? 0) - (room.get(b.diskId) ?? 0),
      );
      if (least) dropReplica(context, extentId, least.diskId, journal);
    }
    writeJournals(context, journal);
    return extentIds.length;
  });
}
