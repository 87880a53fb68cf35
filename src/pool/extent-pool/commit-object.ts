/**
 * Makes stored content an object: the transaction in which a put becomes true.
 *
 * Its data is durable before. The journal of every disk concerned is durable before the commit, so
 * that whatever was acknowledged can be rebuilt from the disks alone.
 */

import { InvariantError } from '../../domain/errors.js';
import { type Tier, touched } from '../../domain/heat.js';
import type { ByteRun } from '../../domain/units.js';
import { crashPoint } from '../../kernel/crash-point.js';
import type { Replica } from '../../store/extents.js';
import type { ObjectMetadata } from '../../store/objects.js';
import type { SpaceRun } from '../../store/space.js';
import type { PoolContext } from './context.js';
import { addRecord, type JournalBatch, writeJournals } from './journal-batch.js';
import { deleteObject } from './remove.js';
import { extentRecord, objectRecord } from './snapshot.js';

/** An extent whose replicas are durable in reserved runs. */
export interface WrittenExtent {
  readonly sizeBytes: number;
  readonly checksum: Buffer;
  readonly tier: Tier;
  readonly replicas: readonly Replica[];
}

export interface WrittenObject {
  readonly metadata: Omit<ObjectMetadata, 'extentCount' | 'storedAtMs'>;
  readonly replicaCount: number;
  readonly extents: readonly WrittenExtent[];
  /** Whose reservations hold the runs. */
  readonly owners: readonly string[];
}

/**
 * Commits objects, replacing those of the same name, and returns what their owners had reserved and
 * did not use to pending.
 *
 * @returns the object ids in order.
 */
export function commitObjects(context: PoolContext, written: readonly WrittenObject[]): number[] {
  const ids = context.store.transaction(() => {
    const journal: JournalBatch = new Map();
    const reserved = new Set(written.flatMap((object) => object.owners));
    const runs = [...reserved].flatMap((owner) => context.store.space.takeReserved(owner));
    const used: SpaceRun[] = [];
    const objectIds = written.map((object) => commitObject(context, object, journal, used));
    for (const rest of subtract(runs, used)) context.release(rest.diskId, [rest]);
    writeJournals(context, journal);
    crashPoint('put-journaled');
    return objectIds;
  });
  crashPoint('put-committed');
  return ids;
}

function commitObject(
  context: PoolContext,
  object: WrittenObject,
  journal: JournalBatch,
  used: SpaceRun[],
): number {
  const { store } = context;
  const nowMs = context.clock();
  const old = store.objects.byName(object.metadata.name);
  if (old) deleteObject(context, old, journal);
  const row = { ...object.metadata, extentCount: object.extents.length, storedAtMs: nowMs };
  const objectId = store.objects.insert(row);
  const diskIds = new Set<number>();
  for (const [extentIndex, extent] of object.extents.entries()) {
    const { sizeBytes, checksum, tier, replicas } = extent;
    const { replicaCount } = object;
    const extentId = store.extents.insert(
      {
        objectId,
        extentIndex,
        sizeBytes,
        checksum,
        replicaCount,
        tier,
        heatScore: touched(null, nowMs),
        readCount: 0,
        writeCount: 1,
        lastAccessAtMs: nowMs,
      },
      replicas,
    );
    for (const { diskId, runs } of replicas) {
      const stored = { ...extent, extentId, objectId, extentIndex, replicaCount, generation: 1 };
      if (!diskIds.has(diskId)) addRecord(journal, diskId, objectRecord(context, objectId));
      diskIds.add(diskId);
      addRecord(journal, diskId, extentRecord(stored, runs));
      for (const run of runs) used.push({ ...run, diskId, state: 'reserved' });
    }
  }
  if (object.extents.length === 0) journalEverywhere(context, journal, objectId);
  store.totals.add({ put_bytes: object.metadata.sizeBytes });
  return objectId;
}

function journalEverywhere(context: PoolContext, journal: JournalBatch, objectId: number): void {
  const record = objectRecord(context, objectId);
  for (const disk of context.store.disks.all()) addRecord(journal, disk.diskId, record);
}

/** @returns the parts of `runs` that no run of `used` covers. */
function subtract(runs: readonly SpaceRun[], used: readonly SpaceRun[]): SpaceRun[] {
  const order = (a: SpaceRun, b: SpaceRun) => a.diskId - b.diskId || a.startBytes - b.startBytes;
  const taken = [...used].sort(order);
  const rest: SpaceRun[] = [];
  let next = 0;
  let coveredUntil: ByteRun & { diskId: number } = { diskId: -1, startBytes: 0, lengthBytes: 0 };
  for (const run of [...runs].sort(order)) {
    const endBytes = run.startBytes + run.lengthBytes;
    let at = run.startBytes;
    if (coveredUntil.diskId === run.diskId) {
      at = Math.max(at, coveredUntil.startBytes + coveredUntil.lengthBytes);
    }
    for (; next < taken.length; next += 1) {
      const use = taken[next];
      if (!use || use.diskId !== run.diskId || use.startBytes >= endBytes) break;
      if (use.startBytes < at) throw new InvariantError('two extents were given the same space');
      if (use.startBytes > at)
        rest.push({ ...run, startBytes: at, lengthBytes: use.startBytes - at });
      at = use.startBytes + use.lengthBytes;
      coveredUntil = use;
    }
    if (at < endBytes) rest.push({ ...run, startBytes: at, lengthBytes: endBytes - at });
  }
  if (next < taken.length) throw new InvariantError('an extent lies outside its reservation');
  return rest;
}
