/** The sums that an analysis is made of; each is one pass over an index or table, in SQLite. */

import { FREE_RUN_CLASSES_BYTES, type FreeRunClass } from '../domain/fragmentation.js';
import type { PlacedRun } from '../domain/make-room.js';
import type { Db } from './database.js';

export interface DiskReplicaSums {
  readonly diskId: number;
  readonly replicaCount: number;
  readonly fragmentedCount: number;
  readonly fragmentCount: number;
  readonly bytes: number;
  readonly contiguousBytes: number;
}

export interface TierSums {
  readonly tier: string;
  readonly extentCount: number;
  readonly fragmentedCount: number;
}

/** A run of a disk in the terms of the disk map. */
export interface MapRun {
  readonly startBytes: number;
  readonly lengthBytes: number;
  readonly kind: 'contiguous' | 'fragment' | 'free' | 'pending' | 'reserved' | 'journal';
}

export class FragmentationQueries {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /** Of all tiers together; from indexes alone, so that it costs little each minute. */
  counts(): { extentCount: number; fragmentedCount: number } {
    const sql = `SELECT (SELECT COUNT(*) FROM extents) AS extentCount,
      (SELECT COUNT(*) FROM extents WHERE fragment_count > 1) AS fragmentedCount`;
    return this.#db.prepare(sql).get() as ReturnType<FragmentationQueries['counts']>;
  }

  tiers(): TierSums[] {
    return this.#db
      .prepare(
        `SELECT tier, COUNT(*) AS extentCount, SUM(fragment_count > 1) AS fragmentedCount
         FROM extents GROUP BY tier ORDER BY tier`,
      )
      .all() as TierSums[];
  }

  /** The inner grouping follows the primary key, so SQLite streams it without sorting. */
  disks(): DiskReplicaSums[] {
    return this.#db
      .prepare(
        `SELECT disk_id AS diskId, COUNT(*) AS replicaCount, SUM(fragments > 1) AS fragmentedCount,
           SUM(fragments) AS fragmentCount, SUM(bytes) AS bytes,
           COALESCE(SUM(bytes) FILTER (WHERE fragments = 1), 0) AS contiguousBytes
         FROM (SELECT disk_id, COUNT(*) AS fragments, SUM(length_bytes) AS bytes
               FROM fragments GROUP BY extent_id, disk_id)
         GROUP BY disk_id`,
      )
      .all() as DiskReplicaSums[];
  }

  /** Free and pending runs of a disk by size class. */
  freeRuns(diskId: number): FreeRunClass[] {
    let fromBytes = 0;
    return FREE_RUN_CLASSES_BYTES.map((belowBytes) => {
      const sums = this.#db
        .prepare(
          `SELECT COUNT(*) AS runCount, COALESCE(SUM(length_bytes), 0) AS bytes FROM (
             SELECT length_bytes FROM space_runs WHERE disk_id = @diskId AND state = 'free'
             UNION ALL
             SELECT length_bytes FROM space_runs WHERE disk_id = @diskId AND state = 'pending')
           WHERE length_bytes >= @fromBytes AND length_bytes < @belowBytes`,
        )
        .get({ diskId, fromBytes, belowBytes }) as { runCount: number; bytes: number };
      fromBytes = belowBytes;
      return { belowBytes: belowBytes === Number.MAX_SAFE_INTEGER ? null : belowBytes, ...sums };
    });
  }

  /** Bytes of a disk that extents use. */
  usedBytes(): Map<number, number> {
    const rows = this.#db
      .prepare(
        'SELECT disk_id AS diskId, SUM(length_bytes) AS bytes FROM fragments GROUP BY disk_id',
      )
      .all() as { diskId: number; bytes: number }[];
    return new Map(rows.map((row) => [row.diskId, row.bytes]));
  }

  /** Extents, free and pending space of a disk's general zone, in disk order. */
  placedRuns(diskId: number): IterableIterator<PlacedRun> {
    return this.#db
      .prepare(
        `SELECT start_bytes AS startBytes, length_bytes AS lengthBytes, extent_id AS extentId
         FROM fragments WHERE disk_id = @diskId AND start_bytes <
           (SELECT capacity_bytes - reserve_bytes FROM disks WHERE disk_id = @diskId)
         UNION ALL
         SELECT start_bytes, length_bytes, NULL FROM space_runs
         WHERE disk_id = @diskId AND in_reserve = 0 AND state IN ('free', 'pending')
         ORDER BY startBytes`,
      )
      .iterate({ diskId }) as IterableIterator<PlacedRun>;
  }

  /** Every run of a disk, in no order; header excluded. */
  *mapRuns(diskId: number): Generator<MapRun> {
    yield* this.#db
      .prepare(
        `SELECT f.start_bytes AS startBytes, f.length_bytes AS lengthBytes,
           CASE WHEN e.fragment_count > 1 AND EXISTS (SELECT 1 FROM fragments AS o
             WHERE o.extent_id = f.extent_id AND o.disk_id = f.disk_id AND o.position = 1)
             THEN 'fragment' ELSE 'contiguous' END AS kind
         FROM fragments AS f JOIN extents AS e USING (extent_id) WHERE f.disk_id = ?`,
      )
      .iterate(diskId) as IterableIterator<MapRun>;
    yield* this.#db
      .prepare(
        `SELECT start_bytes AS startBytes, length_bytes AS lengthBytes,
           CASE state WHEN 'discarding' THEN 'pending' ELSE state END AS kind
         FROM space_runs WHERE disk_id = ?
         UNION ALL
         SELECT start_bytes, length_bytes, 'journal' FROM journal_segments WHERE disk_id = ?`,
      )
      .iterate(diskId, diskId) as IterableIterator<MapRun>;
  }
}
