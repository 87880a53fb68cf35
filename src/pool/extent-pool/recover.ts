/**
 * Rebuilds a lost `pool.sqlite` from the journals on the disks.
 *
 * Each disk tells what it holds; together they tell what the pool holds. A deletion counts on
 * whichever disk it is written, since object ids are never used twice. Content is not read here:
 * replicas are verified when they are read, or by `verify`.
 */

import { closeSync, existsSync, openSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { InvariantError, MaintenanceError } from '../../domain/errors.js';
import type { ByteRun } from '../../domain/units.js';
import { fromNodeError } from '../../kernel/kernel-error.js';
import { syncDirectory } from '../../kernel/sync-directory.js';
import type { Replica } from '../../store/extents.js';
import { PoolStore } from '../../store/pool-store.js';
import { CATALOGUE_FILE, PoolContext } from './context.js';
import { newPoolSettings } from './create.js';
import { backingPath } from './data-file.js';
import { readJournal } from './disk-journal.js';
import type { JournalRecord } from './journal-frames.js';
import { HEADER_BYTES, reserveBytes } from './layout.js';
import { rewriteJournal } from './snapshot.js';
import { readSuperblock, type Superblock } from './superblock.js';

export interface RecoverReport {
  readonly poolId: string;
  readonly objectCount: number;
  readonly extentCount: number;
  /** Objects of which an extent has no replica on any disk that was found; they were left out. */
  readonly incompleteObjects: readonly string[];
  /** Members that the superblocks name and that were not found. */
  readonly missingDisks: readonly string[];
}

type ObjectRecord = Extract<JournalRecord, readonly ['object', ...unknown[]]>;
type ExtentRecord = Extract<JournalRecord, readonly ['extent', ...unknown[]]>;

interface FoundDisk {
  readonly path: string;
  readonly superblock: Superblock;
  readonly segments: readonly ByteRun[];
  readonly objects: ReadonlyMap<number, ObjectRecord>;
  readonly extents: ReadonlyMap<number, ExtentRecord>;
  readonly deletedObjectIds: ReadonlySet<number>;
}

/**
 * @param diskPaths at least one disk of the pool; the others are found by what it knows of them.
 * @throws MaintenanceError ERR_TARGET_BUSY when the pool still has a catalogue, ERR_NOT_A_POOL when
 *   no disk was found, ERR_DISK_MISMATCH when the disks are of several pools.
 */
export async function recoverPool(
  poolPath: string,
  diskPaths: readonly string[],
): Promise<RecoverReport> {
  const path = resolve(poolPath);
  const catalogue = join(path, CATALOGUE_FILE);
  if (existsSync(catalogue)) {
    throw new MaintenanceError('ERR_TARGET_BUSY', `${path} still has its ${CATALOGUE_FILE}`, {
      nextStep: 'If it is damaged, move it away first; nothing was changed.',
    });
  }
  const { disks, missing } = findDisks(diskPaths);
  const scratch = `${catalogue}.recovering`;
  for (const leftover of [scratch, `${scratch}-wal`, `${scratch}-shm`])
    rmSync(leftover, { force: true });
  const report = buildCatalogue(scratch, disks, missing);
  renameSync(scratch, catalogue);
  syncDirectory(path);
  // A new epoch on every disk: what an old journal still says can never be taken for newer.
  const context = new PoolContext(path);
  try {
    for (const disk of context.store.disks.all()) rewriteJournal(context, disk);
  } finally {
    await context.close();
  }
  return report;
}

function findDisks(diskPaths: readonly string[]): { disks: FoundDisk[]; missing: string[] } {
  const disks = new Map<string, FoundDisk>();
  const missing: string[] = [];
  const open = diskPaths.map((path) => ({ path: resolve(path), named: true }));
  for (let next = open.shift(); next; next = open.shift()) {
    if ([...disks.values()].some((disk) => disk.path === next?.path)) continue;
    if (!next.named && !existsSync(backingPath(next.path))) {
      if (!missing.includes(next.path)) missing.push(next.path);
      continue;
    }
    const disk = readDisk(next.path);
    const first = disks.values().next().value;
    if (first && first.superblock.poolId !== disk.superblock.poolId) {
      if (!next.named) continue;
      throw new MaintenanceError(
        'ERR_DISK_MISMATCH',
        `${disk.path} belongs to pool ${disk.superblock.poolId}, not ${first.superblock.poolId}`,
        { nextStep: 'Name only disks of one pool.' },
      );
    }
    disks.set(disk.superblock.diskUuid, disk);
    for (const member of disk.superblock.members) open.push({ path: member.path, named: false });
  }
  if (disks.size === 0) {
    throw new MaintenanceError('ERR_USAGE', 'recover needs at least one disk of the pool', {
      nextStep: 'Name one with --disk DIRECTORY; it knows the others.',
    });
  }
  return { disks: [...disks.values()], missing };
}

function readDisk(path: string): FoundDisk {
  const backing = backingPath(path);
  let fd: number;
  try {
    fd = openSync(backing, 'r');
  } catch (cause) {
    throw fromNodeError('open', cause, backing);
  }
  try {
    const file = { fd, path: backing };
    const superblock = readSuperblock(file);
    if (!superblock) {
      throw new MaintenanceError('ERR_NOT_A_POOL', `${backing} carries no dynamicfs superblock`, {
        nextStep: 'Name the directory of a disk that belonged to the pool.',
      });
    }
    return {
      path,
      superblock,
      ...replay(readJournal(file, superblock.journal, superblock.journalEpoch), superblock.journal),
    };
  } finally {
    closeSync(fd);
  }
}

function replay(
  journal: ReturnType<typeof readJournal>,
  first: ByteRun,
): Pick<FoundDisk, 'segments' | 'objects' | 'extents' | 'deletedObjectIds'> {
  const segments = [first];
  const objects = new Map<number, ObjectRecord>();
  const extents = new Map<number, ExtentRecord>();
  const deletedObjectIds = new Set<number>();
  for (const { record, segment } of journal) {
    if (segments.at(-1) !== segment && segment !== first) segments.push(segment);
    if (record[0] === 'object') objects.set(record[1], record);
    else if (record[0] === 'deleted') deletedObjectIds.add(record[1]);
    else if (record[0] === 'moved-away') extents.delete(record[1]);
    else if (record[0] === 'extent') {
      // Deleted first, so that the map keeps the order of writing: later claims on space win.
      extents.delete(record[1]);
      extents.set(record[1], record);
    }
  }
  return { segments, objects, extents, deletedObjectIds };
}

function buildCatalogue(
  path: string,
  disks: readonly FoundDisk[],
  missingDisks: readonly string[],
): RecoverReport {
  const first = disks[0]?.superblock;
  if (!first) throw new InvariantError('recover without a disk');
  const store = new PoolStore(path, { create: true });
  try {
    return store.transaction(() => {
      store.settings.write(newPoolSettings(first.poolId, first.extentBytes, first.replicaCount));
      const diskIds = disks.map((disk) => addDisk(store, disk));
      const { extentCount, incompleteObjects, objectCount } = addContent(store, disks, diskIds);
      for (const [index, disk] of disks.entries()) addSpace(store, disk, diskIds[index] ?? 0);
      const { poolId } = first;
      return { poolId, objectCount, extentCount, incompleteObjects, missingDisks };
    });
  } finally {
    store.close();
  }
}

function addDisk(store: PoolStore, { path, superblock }: FoundDisk): number {
  const { capacityBytes, extentBytes, tier } = superblock;
  return store.disks.add({
    uuid: superblock.diskUuid,
    path,
    tier,
    capacityBytes,
    reserveBytes: reserveBytes(capacityBytes, extentBytes),
    granularityBytes: 4096,
    evacuating: false,
    journalEpoch: superblock.journalEpoch,
    journalTailBytes: 0,
    journalStale: true,
    addedAtMs: Date.now(),
  });
}

function addContent(
  store: PoolStore,
  disks: readonly FoundDisk[],
  diskIds: readonly number[],
): Pick<RecoverReport, 'objectCount' | 'extentCount' | 'incompleteObjects'> {
  const deleted = new Set(disks.flatMap((disk) => [...disk.deletedObjectIds]));
  const objects = new Map<number, ObjectRecord>();
  const newestOfName = new Map<string, number>();
  for (const [objectId, record] of disks.flatMap((disk) => [...disk.objects])) {
    if (deleted.has(objectId)) continue;
    objects.set(objectId, record);
    newestOfName.set(record[2], Math.max(objectId, newestOfName.get(record[2]) ?? 0));
  }
  const extents = new Map<number, { record: ExtentRecord; replicas: Replica[] }>();
  for (const [index, disk] of disks.entries()) {
    for (const record of claimedLast(disk, objects)) {
      const runs = record[9].map(([startBytes, lengthBytes]) => ({ startBytes, lengthBytes }));
      const known = extents.get(record[1]);
      const replica = { diskId: diskIds[index] ?? 0, runs };
      if (known) known.replicas.push(replica);
      else extents.set(record[1], { record, replicas: [replica] });
    }
  }
  const byObject = new Map<number, { record: ExtentRecord; replicas: Replica[] }[]>();
  for (const extent of extents.values()) {
    const siblings = byObject.get(extent.record[2]);
    if (siblings) siblings.push(extent);
    else byObject.set(extent.record[2], [extent]);
  }
  const incompleteObjects: string[] = [];
  let extentCount = 0;
  let objectCount = 0;
  for (const [objectId, record] of objects) {
    const [, , name, kind, sizeBytes, count, mode, mtimeMs, linkTarget, storedAtMs] = record;
    if (newestOfName.get(name) !== objectId) continue;
    const parts = byObject.get(objectId) ?? [];
    if (parts.length < count) {
      incompleteObjects.push(name);
      continue;
    }
    store.objects.insertWithId({
      objectId,
      name,
      kind,
      sizeBytes,
      extentCount: count,
      mode,
      mtimeMs,
      linkTarget,
      storedAtMs,
    });
    for (const part of parts) insertExtent(store, part.record, part.replicas);
    extentCount += parts.length;
    objectCount += 1;
  }
  return { objectCount, extentCount, incompleteObjects };
}

/** A commit that never happened may have left a record whose place was given away since. */
function claimedLast(disk: FoundDisk, objects: ReadonlyMap<number, ObjectRecord>): ExtentRecord[] {
  const claims = [...disk.extents.values()]
    .filter((record) => objects.has(record[2]))
    .flatMap((record, order) =>
      record[9].map(([start, length]) => ({ record, order, start, length })),
    )
    .sort((a, b) => a.start - b.start || b.order - a.order);
  const losers = new Set<ExtentRecord>();
  let widest: (typeof claims)[number] | null = null;
  for (const claim of claims) {
    if (widest && claim.start < widest.start + widest.length) {
      losers.add(claim.order > widest.order ? widest.record : claim.record);
    }
    if (!widest || claim.start + claim.length > widest.start + widest.length) widest = claim;
  }
  return [...disk.extents.values()].filter((r) => objects.has(r[2]) && !losers.has(r));
}

function insertExtent(store: PoolStore, record: ExtentRecord, replicas: readonly Replica[]): void {
  const [, extentId, objectId, extentIndex, sizeBytes, checksum, generation, replicaCount, tier] =
    record;
  store.extents.insertWithId(
    {
      extentId,
      objectId,
      extentIndex,
      sizeBytes,
      checksum: Buffer.from(checksum, 'base64'),
      generation,
      replicaCount,
      fragmentCount: 0,
      tier,
      heatScore: null,
      readCount: 0,
      writeCount: 1,
      lastAccessAtMs: null,
    },
    replicas,
  );
}

/** Whatever nothing claims is pending: nobody knows whether it was ever discarded. */
function addSpace(store: PoolStore, disk: FoundDisk, diskId: number): void {
  store.disks.replaceJournalSegments(diskId, disk.segments);
  const used = [...store.fragmentation.mapRuns(diskId)].sort((a, b) => a.startBytes - b.startBytes);
  let atBytes = HEADER_BYTES;
  for (const { startBytes, lengthBytes } of used) {
    if (startBytes > atBytes) {
      store.space.add(
        diskId,
        { startBytes: atBytes, lengthBytes: startBytes - atBytes },
        'pending',
      );
    }
    atBytes = startBytes + lengthBytes;
  }
  const endBytes = disk.superblock.capacityBytes;
  if (endBytes > atBytes) {
    store.space.add(diskId, { startBytes: atBytes, lengthBytes: endBytes - atBytes }, 'pending');
  }
}
