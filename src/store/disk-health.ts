/** Which disks are fit to count on; see src/domain/disk-health.ts. A disk without a row is healthy. */

import { type DiskHealth, NEW_DISK_HEALTH } from '../domain/disk-health.js';
import { type Db, transaction } from './database.js';
import type { LedgerStore } from './ledger.js';
import type { Candidate } from './rewrite-candidates.js';

export interface ShortExtent extends Candidate {
  readonly goodCount: number;
}

/** Replicas that count: on a disk that does, and not known to be bad. */
const GOOD_COUNT = `(SELECT COUNT(*) FROM fragments AS g
  WHERE g.extent_id = e.extent_id AND g.position = 0
    AND g.disk_id NOT IN (SELECT disk_id FROM disk_health WHERE state <> 'healthy')
    AND NOT EXISTS (SELECT 1 FROM bad_replicas AS b
      WHERE b.extent_id = g.extent_id AND b.disk_id = g.disk_id))`;

export class DiskHealthStore {
  readonly #db: Db;
  readonly #statements: ReturnType<typeof prepare>;
  readonly #ledger: LedgerStore;

  constructor(db: Db, ledger: LedgerStore) {
    this.#db = db;
    this.#statements = prepare(db);
    this.#ledger = ledger;
  }

  get(diskId: number): DiskHealth {
    return (this.#statements.get.get(diskId) as DiskHealth | undefined) ?? NEW_DISK_HEALTH;
  }

  set(diskId: number, health: DiskHealth): void {
    transaction(this.#db, () => {
      const before = this.get(diskId);
      this.#statements.set.run({ diskId, ...health });
      if (before.state === health.state) return;
      const disk = this.#statements.path.pluck().get(diskId);
      const { state, reason, errorCount } = health;
      const figures = { disk, before: before.state, state, errorCount };
      this.#ledger.append({ atMs: this.#ledger.now(), event: 'disk-state', reason, figures });
    });
  }

  countError(diskId: number): void {
    this.#statements.countError.run(diskId);
  }

  /** Disks whose copies do not count, and that take no new ones. */
  unfit(): Set<number> {
    return new Set(this.#statements.unfit.pluck().all() as number[]);
  }

  /** Whether any replica may be missing or bad; if not, nothing is short. */
  isAllWell(): boolean {
    return this.#statements.trouble.get() === undefined;
  }

  /**
   * Extents of degraded disks, and those that never got all their replicas, that have fewer good ones
   * than they want, the fewest first.
   *
   * @param readable degraded disks that can be read, for extents that have no good replica left.
   */
  short(runId: number, readable: readonly number[], limit: number): ShortExtent[] {
    return this.#db
      .prepare(
        `WITH f (extent_id, disk_id) AS (
           SELECT extent_id, disk_id FROM disk_health JOIN fragments USING (disk_id)
           WHERE state = 'degraded' AND position = 0
           UNION SELECT extent_id, disk_id FROM short_extents JOIN fragments USING (extent_id)
           WHERE position = 0)
         SELECT e.extent_id AS extentId, MIN(f.disk_id) AS diskId, ${GOOD_COUNT} AS goodCount
         FROM f JOIN extents AS e USING (extent_id)
         WHERE NOT EXISTS (SELECT 1 FROM run_exclusions AS x
           WHERE x.run_id = @runId AND x.extent_id = f.extent_id AND x.disk_id = f.disk_id)
         GROUP BY e.extent_id HAVING goodCount < e.replica_count
           AND (goodCount > 0 OR MAX(f.disk_id IN (SELECT value FROM json_each(@readable))))
         ORDER BY goodCount, e.extent_id LIMIT @limit`,
      )
      .all({ runId, readable: JSON.stringify(readable), limit }) as ShortExtent[];
  }

  /** Extents that never got all their replicas. */
  neverWholeCount(): number {
    return this.#statements.neverWhole.pluck().get() as number;
  }

  /** Extents with a replica on this disk that have fewer good ones than they want. */
  shortCount(diskId: number): number {
    return this.#db
      .prepare(
        `SELECT COUNT(*) FROM fragments AS f JOIN extents AS e USING (extent_id)
         WHERE f.disk_id = ? AND f.position = 0 AND ${GOOD_COUNT} < e.replica_count`,
      )
      .pluck()
      .get(diskId) as number;
  }

  /** Extents on a disk that is not healthy, with as many good replicas as they want on others. */
  covered(diskId: number, limit: number): number[] {
    return this.#db
      .prepare(
        `SELECT e.extent_id FROM fragments AS f JOIN extents AS e USING (extent_id)
         WHERE f.disk_id = ? AND f.position = 0 AND ${GOOD_COUNT} >= e.replica_count LIMIT ?`,
      )
      .pluck()
      .all(diskId, limit) as number[];
  }

  /** Extents on this disk that have more replicas than they want. */
  surplus(diskId: number, limit: number): number[] {
    return this.#db
      .prepare(
        `SELECT e.extent_id FROM fragments AS f JOIN extents AS e USING (extent_id)
         WHERE f.disk_id = ? AND f.position = 0 AND e.replica_count < (SELECT COUNT(*)
           FROM fragments AS g WHERE g.extent_id = e.extent_id AND g.position = 0) LIMIT ?`,
      )
      .pluck()
      .all(diskId, limit) as number[];
  }
}

function prepare(db: Db) {
  return {
    get: db.prepare(
      `SELECT state, reason, since_ms AS sinceMs, error_count AS errorCount,
         not_before_ms AS notBeforeMs FROM disk_health WHERE disk_id = ?`,
    ),
    path: db.prepare('SELECT path FROM disks WHERE disk_id = ?'),
    set: db.prepare(
      `INSERT INTO disk_health VALUES (@diskId, @state, @reason, @sinceMs, @errorCount, @notBeforeMs)
       ON CONFLICT (disk_id) DO UPDATE SET state = excluded.state, reason = excluded.reason,
         since_ms = excluded.since_ms, error_count = excluded.error_count,
         not_before_ms = excluded.not_before_ms`,
    ),
    countError: db.prepare(
      `INSERT INTO disk_health SELECT disk_id, 'healthy', NULL, 0, 1, 0 FROM disks WHERE disk_id = ?
       ON CONFLICT (disk_id) DO UPDATE SET error_count = error_count + 1`,
    ),
    unfit: db.prepare("SELECT disk_id FROM disk_health WHERE state IN ('degraded', 'returning')"),
    neverWhole: db.prepare('SELECT COUNT(*) FROM short_extents'),
    trouble: db.prepare(
      `SELECT 1 FROM disk_health WHERE state <> 'healthy' UNION ALL
       SELECT 1 FROM bad_replicas UNION ALL SELECT 1 FROM short_extents LIMIT 1`,
    ),
  };
}
