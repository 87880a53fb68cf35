/**
 * Writes the journal of a disk anew from the catalogue: at the first use of a disk, after the disk
 * was away, and to drop records that later ones made void.
 *
 * The new journal is complete and durable before the superblock names it. Should the process die
 * between that and the commit, the superblock names a journal in space that is free again. So the old
 * one is marked stale before, for good: nobody appends to it, and nobody takes space on that disk
 * (`placementDisks`), before the next writer has done it again (`repairJournals`).
 */

import { randomInt } from 'node:crypto';
import { asMaintenanceError, InvariantError, MaintenanceError } from '../../domain/errors.js';
import { type ByteRun, MIB, totalBytes } from '../../domain/units.js';
import { crashPoint } from '../../kernel/crash-point.js';
import type { OpenFile } from '../../kernel/kernel-call.js';
import type { DiskRow } from '../../store/disks.js';
import type { ExtentRow } from '../../store/extents.js';
import type { PoolContext } from './context.js';
import { type JournalRecord, runPairs } from './journal-frames.js';
import { settleLateWrites } from './late-writes.js';
import { readSuperblock, type Superblock, writeSuperblock } from './superblock.js';

/** A journal smaller than this is never worth rewriting. */
const COMPACT_BYTES_MIN = 16 * MIB;
/** What a live record takes, roughly; a journal of four times that is mostly void. */
const LIVE_RECORD_BYTES = 160;

export function rewriteJournal(context: PoolContext, disk: DiskRow): void {
  const { store, journal } = context;
  const file = context.writableFile(disk);
  if (!disk.journalStale) store.transaction(() => store.disks.markJournalStale(disk.diskId));
  store.transaction(() => {
    const oldSegments = store.disks.journalSegments(disk.diskId);
    const epoch = randomInt(1, 2 ** 47);
    const first = journal.start(disk.diskId, epoch);
    journal.appendAll(disk.diskId, file, liveRecords(context, disk.diskId));
    renewSuperblock(context, disk, file, { first, epoch });
    crashPoint('journal-renewed');
    context.release(disk.diskId, oldSegments);
  });
}

/**
 * Tells every disk which disks the pool has now. In one transaction and from what is on the disk, not
 * from memory: another process may have rewritten a journal since.
 */
export function refreshSuperblocks(context: PoolContext): void {
  context.store.transaction(() => {
    for (const disk of context.store.disks.all()) refreshSuperblock(context, disk);
  });
}

/** Writes it to the slot that was not written last. Safe while: in a transaction. */
export function refreshSuperblock(context: PoolContext, disk: DiskRow): void {
  const { condition, file } = context.diskState(disk);
  const current = condition === 'online' && file ? currentSuperblock(file, disk) : null;
  if (!file || !current) return;
  const { journal: first, journalEpoch: epoch } = current;
  renewSuperblock(context, disk, file, { first, epoch });
}

/** As `refreshSuperblocks`; a disk that does not answer is told when the pool is next opened. */
export function tellMembers(context: PoolContext): void {
  try {
    refreshSuperblocks(context);
  } catch (cause) {
    if (asMaintenanceError(cause).code !== 'ERR_DISK_UNAVAILABLE') throw cause;
  }
}

function renewSuperblock(
  context: PoolContext,
  disk: DiskRow,
  file: OpenFile,
  journal: { readonly first: ByteRun; readonly epoch: number },
): void {
  const superblock: Superblock = {
    ...(disk.kind === 'device' ? { kind: disk.kind } : {}),
    sequence: (currentSuperblock(file, disk)?.sequence ?? 0) + 1,
    poolId: context.poolId,
    diskUuid: disk.uuid,
    capacityBytes: disk.capacityBytes,
    tier: disk.tier,
    extentBytes: context.extentBytes,
    replicaCount: context.settings().replicaCount,
    journal: journal.first,
    journalEpoch: journal.epoch,
    members: members(context),
  };
  const writtenBytes = writeSuperblock(file, superblock);
  context.store.counters.count(disk.diskId, { writtenBytes });
  context.rememberSuperblock(disk.diskId, superblock);
}

function currentSuperblock(file: OpenFile, { kind, capacityBytes }: DiskRow): Superblock | null {
  return readSuperblock(file, kind === 'device' ? capacityBytes : undefined);
}

function members(context: PoolContext): Superblock['members'] {
  return context.store.disks
    .all()
    .map(({ uuid, path, kind }) => (kind === 'device' ? { uuid, path, kind } : { uuid, path }));
}

/** Devices that were found under another name are looked for there from now on. */
function rememberPaths(context: PoolContext): void {
  const { store } = context;
  const renamed = new Map<number, string>();
  for (const disk of store.disks.all()) {
    const path = disk.kind === 'device' ? context.diskState(disk).file?.path : undefined;
    if (path !== undefined && path !== disk.path) renamed.set(disk.diskId, path);
  }
  if (renamed.size > 0) store.transaction(() => store.disks.setPaths(renamed));
}

/**
 * Brings the disks up to date with the catalogue: journals that are stale or of another epoch, frames
 * that no commit followed, members that came or went meanwhile.
 *
 * A disk that has no room for a new journal, or refuses it, stays as it is and is looked at again at
 * the next opening: its data can be read, and deleting some of it must be possible.
 *
 * @returns how many journals were written anew.
 */
export function repairJournals(context: PoolContext): number {
  const { store, journal } = context;
  settleLateWrites(context.path, store);
  rememberPaths(context);
  let repairedCount = 0;
  for (const disk of store.disks.all()) {
    const { condition, superblock, file } = context.diskState(disk);
    if (condition !== 'online' || !file) continue;
    try {
      if (!disk.journalStale && superblock?.journalEpoch === disk.journalEpoch) {
        journal.dropUncommitted(disk.diskId, file);
      } else {
        rewriteJournal(context, disk);
        repairedCount += 1;
      }
    } catch (cause) {
      if (!(cause instanceof MaintenanceError) || !CAN_WAIT.has(cause.code)) throw cause;
      store.transaction(() => store.disks.markJournalStale(disk.diskId));
    }
  }
  const current = JSON.stringify(members(context));
  const outdated = store.disks.all().some((disk) => {
    const { condition, superblock } = context.diskState(disk);
    return condition === 'online' && JSON.stringify(superblock?.members) !== current;
  });
  if (outdated) refreshSuperblocks(context);
  return repairedCount;
}

/** Whether `repairJournals` has something to do that was not there when the pool was opened. */
export function hasStaleJournal(context: PoolContext): boolean {
  const stale = context.store.disks.all().filter(({ journalStale }) => journalStale);
  if (stale.length === 0) return false;
  const unfit = context.store.health.unfit();
  return stale.some(
    (disk) => !unfit.has(disk.diskId) && context.diskState(disk).condition === 'online',
  );
}

const CAN_WAIT: ReadonlySet<string> = new Set([
  'ERR_NO_SPACE',
  'ERR_KERNEL',
  'ERR_PERMISSION',
  'ERR_DISK_UNAVAILABLE',
]);

/** Rewrites journals that consist mostly of void records. */
export function compactJournals(context: PoolContext): number {
  let compactedCount = 0;
  for (const disk of context.store.disks.all()) {
    const journalBytes = totalBytes(context.store.disks.journalSegments(disk.diskId));
    if (journalBytes < COMPACT_BYTES_MIN || context.diskState(disk).condition !== 'online')
      continue;
    const { replicaCount } = context.store.fragmentation
      .disks()
      .find((sums) => sums.diskId === disk.diskId) ?? { replicaCount: 0 };
    if (journalBytes < 4 * LIVE_RECORD_BYTES * replicaCount) continue;
    rewriteJournal(context, disk);
    compactedCount += 1;
  }
  return compactedCount;
}

/** One record per object and extent of this disk; objects without extents are on every disk. */
function* liveRecords(context: PoolContext, diskId: number): Generator<JournalRecord> {
  const { extents, objects } = context.store;
  for (const objectId of objects.idsWithoutExtents()) yield objectRecord(context, objectId);
  let lastObjectId: number | null = null;
  for (let afterId = 0; ; ) {
    const page = extents.pageOnDisk(diskId, afterId, 1000);
    for (const extent of page) {
      const replica = extents.replicas(extent.extentId).find((r) => r.diskId === diskId);
      if (extent.objectId !== lastObjectId) yield objectRecord(context, extent.objectId);
      lastObjectId = extent.objectId;
      yield extentRecord(extent, replica?.runs ?? []);
    }
    const last = page.at(-1);
    if (!last) return;
    afterId = last.extentId;
  }
}

export function objectRecord(context: PoolContext, objectId: number): JournalRecord {
  const object = context.store.objects.byId(objectId);
  if (!object) throw new InvariantError(`object ${objectId} is gone`);
  const { name, kind, sizeBytes, extentCount, mode, mtimeMs, linkTarget, storedAtMs } = object;
  return [
    'object',
    objectId,
    name,
    kind,
    sizeBytes,
    extentCount,
    mode,
    mtimeMs,
    linkTarget,
    storedAtMs,
  ];
}

export function extentRecord(
  extent: Pick<
    ExtentRow,
    'extentId' | 'objectId' | 'extentIndex' | 'sizeBytes' | 'checksum' | 'generation' | 'tier'
  > & { readonly replicaCount: number },
  runs: readonly ByteRun[],
): JournalRecord {
  return [
    'extent',
    extent.extentId,
    extent.objectId,
    extent.extentIndex,
    extent.sizeBytes,
    extent.checksum.toString('base64'),
    extent.generation,
    extent.replicaCount,
    extent.tier,
    runPairs(runs),
  ];
}
