/**
 * Rebuilds a lost `pool.sqlite` from the journals on the disks.
 *
 * Each disk tells what it holds; together they tell what the pool holds. A deletion counts on
 * whichever disk it is written, since object ids are never used twice. Content is not read here:
 * replicas are verified when they are read, or by `verify`.
 */

import { existsSync, mkdirSync, renameSync, rmSync, statfsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { InvariantError, MaintenanceError } from '../../domain/errors.js';
import { processActor } from '../../kernel/actor.js';
import { fromNodeError } from '../../kernel/kernel-error.js';
import { syncDirectory } from '../../kernel/sync-directory.js';
import type { Replica } from '../../store/extents.js';
import { PoolStore } from '../../store/pool-store.js';
import { CATALOGUE_FILE } from './catalogue.js';
import { PoolContext } from './context.js';
import { newPoolSettings } from './create.js';
import { deviceDiscard } from './device-disk.js';
import { type ExtentRecord, type FoundDisk, findDisks, type ObjectRecord } from './find-disks.js';
import { BLOCK_BYTES, HEADER_BYTES, reserveBytes } from './layout.js';
import { repairJournals } from './snapshot.js';

export interface RecoverReport {
  readonly poolId: string;
  readonly objectCount: number;
  readonly extentCount: number;
  /**
   * Objects of which an extent has no replica on any disk that was found; they were left out, unless
   * an older version of that name was still whole.
   */
  readonly incompleteObjects: readonly string[];
  /** Members that the superblocks name and that were not found. */
  readonly missingDisks: readonly string[];
}

interface FoundExtent {
  record: ExtentRecord;
  readonly replicas: Replica[];
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
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw fromNodeError('make pool directory', cause, path);
  }
  const scratch = `${catalogue}.recovering`;
  // SQLite would replay the log of the lost catalogue into the new one.
  for (const base of [scratch, catalogue]) {
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${base}${suffix}`, { force: true });
  }
  const report = buildCatalogue(scratch, disks, missing);
  renameSync(scratch, catalogue);
  syncDirectory(path);
  // A new epoch on every disk: what an old journal still says can never be taken for newer.
  const context = new PoolContext(path);
  try {
    repairJournals(context);
  } finally {
    await context.close();
  }
  return report;
}

function buildCatalogue(
  path: string,
  disks: readonly FoundDisk[],
  missingDisks: readonly string[],
): RecoverReport {
  const first = disks[0]?.superblock;
  if (!first) throw new InvariantError('recover without a disk');
  const store = new PoolStore(path, {
    create: true,
    beginning: 'recovered',
    actor: processActor(),
  });
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

function addDisk(store: PoolStore, { kind, path, superblock }: FoundDisk): number {
  const { capacityBytes, extentBytes, tier } = superblock;
  return store.disks.add({
    uuid: superblock.diskUuid,
    kind,
    path,
    tier,
    capacityBytes,
    reserveBytes: reserveBytes(capacityBytes, extentBytes),
    granularityBytes:
      kind === 'device'
        ? deviceDiscard(path).granularityBytes
        : Math.max(BLOCK_BYTES, statfsSync(path).bsize),
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
  const idsOfName = new Map<string, number[]>();
  for (const [objectId, record] of disks.flatMap((disk) => [...disk.objects])) {
    if (deleted.has(objectId)) continue;
    if (objects.has(objectId)) continue;
    objects.set(objectId, record);
    idsOfName.set(record[2], [...(idsOfName.get(record[2]) ?? []), objectId]);
  }
  const extents = new Map<number, FoundExtent>();
  for (const [index, disk] of disks.entries()) {
    for (const record of claimedLast(disk, objects)) {
      const runs = record[9].map(([startBytes, lengthBytes]) => ({ startBytes, lengthBytes }));
      const known = extents.get(record[1]);
      const replica = { diskId: diskIds[index] ?? 0, runs };
      if (known) {
        known.replicas.push(replica);
        if (record[6] > known.record[6]) known.record = record;
      } else extents.set(record[1], { record, replicas: [replica] });
    }
  }
  const byObject = new Map<number, FoundExtent[]>();
  for (const extent of extents.values()) {
    const siblings = byObject.get(extent.record[2]);
    if (siblings) siblings.push(extent);
    else byObject.set(extent.record[2], [extent]);
  }
  const incompleteObjects: string[] = [];
  let extentCount = 0;
  let objectCount = 0;
  for (const [name, ids] of idsOfName) {
    const newestFirst = ids.sort((a, b) => b - a);
    const isWhole = (id: number) => (byObject.get(id)?.length ?? 0) >= (objects.get(id)?.[5] ?? 0);
    const objectId = newestFirst.find(isWhole);
    // Also where an older version of that name is brought back instead.
    if (objectId !== newestFirst[0]) incompleteObjects.push(name);
    const record = objectId === undefined ? undefined : objects.get(objectId);
    if (objectId === undefined || !record) continue;
    const [, , , kind, sizeBytes, count, mode, mtimeMs, linkTarget, storedAtMs] = record;
    const parts = byObject.get(objectId) ?? [];
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
  beginNewIds(store, disks);
  return { objectCount, extentCount, incompleteObjects };
}

/**
 * Ids that were used once are never used again, not even those that only a missing disk knows: when
 * it is found later, its journal must not speak of today's objects.
 */
function beginNewIds(store: PoolStore, disks: readonly FoundDisk[]): void {
  let lastId = 0;
  for (const { objects, extents, deletedObjectIds } of disks) {
    for (const id of [...objects.keys(), ...extents.keys(), ...deletedObjectIds]) {
      lastId = Math.max(lastId, id);
    }
  }
  store.beginIdsAfter((Math.floor(lastId / IDS_PER_CATALOGUE) + 1) * IDS_PER_CATALOGUE);
}

/** More than a pool ever stores; 2²¹ times as many fit a double. */
const IDS_PER_CATALOGUE = 2 ** 32;

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
