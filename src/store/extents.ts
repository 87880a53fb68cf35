/** Extents and the fragments of their replicas. */

import type { Tier } from '../domain/heat.js';
import type { ReplicaLocation } from '../domain/tasks.js';
import type { ByteRun } from '../domain/units.js';
import type { Db } from './database.js';

export interface ExtentRow {
  readonly extentId: number;
  readonly objectId: number;
  readonly extentIndex: number;
  readonly sizeBytes: number;
  /** BLAKE3, 32 bytes. */
  readonly checksum: Buffer;
  /** Goes up with every rewrite: a rewrite that began at another generation is void. */
  readonly generation: number;
  /** Wanted replicas. */
  readonly replicaCount: number;
  /** Of the replica with the most. */
  readonly fragmentCount: number;
  /** The tier that it was placed for. */
  readonly tier: Tier;
  /** See src/domain/heat.ts; null when never accessed. */
  readonly heatScore: number | null;
  readonly readCount: number;
  readonly writeCount: number;
  readonly lastAccessAtMs: number | null;
}

/** One copy of an extent: runs in the order of its content. */
export type Replica = Omit<ReplicaLocation, 'path'>;

export type NewExtent = Omit<ExtentRow, 'extentId' | 'generation' | 'fragmentCount'>;

const COLUMNS = `extent_id AS extentId, object_id AS objectId, extent_index AS extentIndex,
  size_bytes AS sizeBytes, checksum, generation, replica_count AS replicaCount,
  fragment_count AS fragmentCount, tier, heat_score AS heatScore, read_count AS readCount,
  write_count AS writeCount, last_access_at_ms AS lastAccessAtMs`;

export class ExtentStore {
  readonly #statements: ReturnType<typeof prepare>;

  constructor(db: Db) {
    this.#statements = prepare(db);
  }

  get(extentId: number): ExtentRow | null {
    return (this.#statements.get.get(extentId) as ExtentRow | undefined) ?? null;
  }

  ofObject(objectId: number): ExtentRow[] {
    return this.#statements.ofObject.all(objectId) as ExtentRow[];
  }

  replicas(extentId: number): Replica[] {
    const rows = this.#statements.fragments.all(extentId) as (ByteRun & { diskId: number })[];
    const replicas: { diskId: number; runs: ByteRun[] }[] = [];
    for (const { diskId, startBytes, lengthBytes } of rows) {
      const last = replicas.at(-1);
      if (last?.diskId === diskId) last.runs.push({ startBytes, lengthBytes });
      else replicas.push({ diskId, runs: [{ startBytes, lengthBytes }] });
    }
    return replicas;
  }

  /** Safe while: in the transaction that takes the runs out of the free-space index. */
  insert(extent: NewExtent, replicas: readonly Replica[]): number {
    const result = this.#statements.insert.run({
      ...extent,
      fragmentCount: mostFragments(replicas),
    });
    const extentId = Number(result.lastInsertRowid);
    for (const replica of replicas) this.#insertFragments(extentId, replica);
    return extentId;
  }

  /** With a known id and generation, for `recover`. */
  insertWithId(extent: ExtentRow, replicas: readonly Replica[]): void {
    this.#statements.insertWithId.run({ ...extent, fragmentCount: mostFragments(replicas) });
    for (const replica of replicas) this.#insertFragments(extent.extentId, replica);
    // With fewer than it wants: other disks get one in the background.
    if (replicas.length < extent.replicaCount) this.#statements.markShort.run(extent.extentId);
  }

  /** Puts `next` where the replica on `fromDiskId` was; generation + 1. Heat stays as it is. */
  replaceReplica(extentId: number, fromDiskId: number, next: Replica): void {
    this.#statements.deleteReplica.run(extentId, fromDiskId);
    this.#insertFragments(extentId, next);
    this.#statements.bumpGeneration.run(mostFragments(this.replicas(extentId)), extentId);
    this.#statements.deleteBad.run(extentId, fromDiskId);
  }

  /** One replica more; generation + 1. */
  addReplica(extentId: number, replica: Replica): void {
    this.#insertFragments(extentId, replica);
    const replicas = this.replicas(extentId);
    this.#statements.bumpGeneration.run(mostFragments(replicas), extentId);
    this.#statements.unmarkShort.run(extentId, replicas.length);
  }

  /** One replica less; generation + 1. */
  dropReplica(extentId: number, diskId: number): void {
    this.#statements.deleteReplica.run(extentId, diskId);
    this.#statements.bumpGeneration.run(mostFragments(this.replicas(extentId)), extentId);
    this.#statements.deleteBad.run(extentId, diskId);
  }

  delete(extentId: number): void {
    this.#statements.deleteFragments.run(extentId);
    this.#statements.delete.run(extentId);
  }

  /** Writes down an access; `score` from src/domain/heat.ts. */
  recordRead(extentId: number, score: number, atMs: number): void {
    this.#statements.recordRead.run(score, atMs, extentId);
  }

  /** Ids in ascending order, `limit` at a time, for listings that do not fit memory. */
  page(afterExtentId: number, limit: number): ExtentRow[] {
    return this.#statements.page.all(afterExtentId, limit) as ExtentRow[];
  }

  /** As `page`, of the extents that have a replica on one disk. */
  pageOnDisk(diskId: number, afterExtentId: number, limit: number): ExtentRow[] {
    return this.#statements.pageOnDisk.all(afterExtentId, diskId, limit) as ExtentRow[];
  }

  /** Extents with fewer whole replicas than they want, with how many there are. */
  shortOfReplicas(): { extentId: number; found: number; wanted: number }[] {
    return this.#statements.short.all() as ReturnType<ExtentStore['shortOfReplicas']>;
  }

  count(): number {
    return this.#statements.count.pluck().get() as number;
  }

  #insertFragments(extentId: number, { diskId, runs }: Replica): void {
    for (const [position, run] of runs.entries()) {
      this.#statements.insertFragment.run(
        extentId,
        diskId,
        position,
        run.startBytes,
        run.lengthBytes,
      );
    }
  }
}

function mostFragments(replicas: readonly Replica[]): number {
  return Math.max(0, ...replicas.map((replica) => replica.runs.length));
}

function prepare(db: Db) {
  const columns = `object_id, extent_index, size_bytes, checksum, replica_count, fragment_count,
    tier, heat_score, read_count, write_count, last_access_at_ms`;
  const values = `@objectId, @extentIndex, @sizeBytes, @checksum, @replicaCount, @fragmentCount,
    @tier, @heatScore, @readCount, @writeCount, @lastAccessAtMs`;
  return {
    get: db.prepare(`SELECT ${COLUMNS} FROM extents WHERE extent_id = ?`),
    ofObject: db.prepare(
      `SELECT ${COLUMNS} FROM extents WHERE object_id = ? ORDER BY extent_index`,
    ),
    page: db.prepare(
      `SELECT ${COLUMNS} FROM extents WHERE extent_id > ? ORDER BY extent_id LIMIT ?`,
    ),
    pageOnDisk: db.prepare(
      `SELECT ${COLUMNS} FROM extents WHERE extent_id > ? AND EXISTS (SELECT 1 FROM fragments AS f
         WHERE f.extent_id = extents.extent_id AND f.disk_id = ?) ORDER BY extent_id LIMIT ?`,
    ),
    short: db.prepare(
      `SELECT e.extent_id AS extentId, e.replica_count AS wanted,
         COUNT(r.bytes) FILTER (WHERE r.bytes >= e.size_bytes) AS found
       FROM extents AS e LEFT JOIN (SELECT extent_id, disk_id, SUM(length_bytes) AS bytes
         FROM fragments GROUP BY extent_id, disk_id) AS r USING (extent_id)
       GROUP BY e.extent_id HAVING found < wanted`,
    ),
    count: db.prepare('SELECT COUNT(*) FROM extents'),
    fragments: db.prepare(
      `SELECT disk_id AS diskId, start_bytes AS startBytes, length_bytes AS lengthBytes
       FROM fragments WHERE extent_id = ? ORDER BY disk_id, position`,
    ),
    insert: db.prepare(`INSERT INTO extents (${columns}) VALUES (${values})`),
    insertWithId: db.prepare(
      `INSERT INTO extents (extent_id, generation, ${columns})
       VALUES (@extentId, @generation, ${values})`,
    ),
    markShort: db.prepare('INSERT INTO short_extents VALUES (?)'),
    unmarkShort: db.prepare(
      `DELETE FROM short_extents AS s WHERE s.extent_id = ?
         AND ? >= (SELECT replica_count FROM extents AS e WHERE e.extent_id = s.extent_id)`,
    ),
    insertFragment: db.prepare('INSERT INTO fragments VALUES (?, ?, ?, ?, ?)'),
    deleteReplica: db.prepare('DELETE FROM fragments WHERE extent_id = ? AND disk_id = ?'),
    deleteFragments: db.prepare('DELETE FROM fragments WHERE extent_id = ?'),
    delete: db.prepare('DELETE FROM extents WHERE extent_id = ?'),
    bumpGeneration: db.prepare(
      'UPDATE extents SET generation = generation + 1, fragment_count = ? WHERE extent_id = ?',
    ),
    recordRead: db.prepare(
      `UPDATE extents SET heat_score = ?, read_count = read_count + 1, last_access_at_ms = ?
       WHERE extent_id = ?`,
    ),
    deleteBad: db.prepare('DELETE FROM bad_replicas WHERE extent_id = ? AND disk_id = ?'),
  };
}
