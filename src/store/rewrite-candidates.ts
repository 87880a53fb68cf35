/** Which replicas a run rewrites next: the questions that its batches ask of the extent tables. */

import { TIERS } from '../domain/heat.js';
import type { RunScope } from '../domain/reclamation.js';
import type { Db } from './database.js';

/** One replica to rewrite, on the disk where it lies now. */
export interface Candidate {
  readonly extentId: number;
  readonly diskId: number;
}

export interface PlannedWork {
  readonly count: number;
  readonly bytes: number;
}

export type ExclusionOutcome = 'skipped' | 'failed';

/** Replicas in `@minFragments` or more, of the tiers in the JSON list `@tiers`. */
const FRAGMENTED = `FROM extents AS e INDEXED BY extents_fragmented
  JOIN fragments AS f ON f.extent_id = e.extent_id AND f.position = @minFragments - 1
  WHERE e.fragment_count > 1 AND e.tier IN (SELECT value FROM json_each(@tiers))`;

function wanted({ tiers, minFragments }: RunScope): { tiers: string; minFragments: number } {
  return { tiers: JSON.stringify(tiers ?? TIERS), minFragments };
}

export class RewriteCandidates {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /**
   * Replicas in so many fragments, of the hottest extents first or those in most fragments; without
   * those that this run already skipped or failed at.
   */
  fragmented(runId: number, scope: RunScope, limit: number): Candidate[] {
    // The row list is capped before fragments are counted, else every call would count them all.
    const order = scope.hotFirst ? 'e.heat_score DESC' : 'e.fragment_count DESC';
    return this.#db
      .prepare(
        `SELECT e.extent_id AS extentId, f.disk_id AS diskId ${FRAGMENTED}
           AND NOT EXISTS (SELECT 1 FROM run_exclusions AS x
             WHERE x.run_id = @runId AND x.extent_id = e.extent_id AND x.disk_id = f.disk_id)
         ORDER BY ${order}, e.extent_id LIMIT @limit`,
      )
      .all({ ...wanted(scope), runId, limit }) as Candidate[];
  }

  onDisk(runId: number, diskId: number, limit: number): Candidate[] {
    return this.#db
      .prepare(
        `SELECT f.extent_id AS extentId, f.disk_id AS diskId FROM fragments AS f
         WHERE f.disk_id = @diskId AND f.position = 0
           AND NOT EXISTS (SELECT 1 FROM run_exclusions AS x
             WHERE x.run_id = @runId AND x.extent_id = f.extent_id AND x.disk_id = f.disk_id)
         LIMIT @limit`,
      )
      .all({ runId, diskId, limit }) as Candidate[];
  }

  planFragmented(scope: RunScope): PlannedWork {
    return this.#db
      .prepare(`SELECT COUNT(*) AS count, COALESCE(SUM(e.size_bytes), 0) AS bytes ${FRAGMENTED}`)
      .get(wanted(scope)) as PlannedWork;
  }

  planOnDisk(diskId: number): PlannedWork {
    return this.#db
      .prepare(
        `SELECT COUNT(*) AS count, COALESCE(SUM(e.size_bytes), 0) AS bytes
         FROM fragments AS f JOIN extents AS e USING (extent_id)
         WHERE f.disk_id = ? AND f.position = 0`,
      )
      .get(diskId) as PlannedWork;
  }

  /** What must find room elsewhere before a disk can go, and the most replicas that any of it wants. */
  heldBy(diskId: number): { bytes: number; replicaCountMax: number } {
    return this.#db
      .prepare(
        `SELECT COALESCE(SUM(f.length_bytes), 0) AS bytes,
           COALESCE(MAX(e.replica_count), 0) AS replicaCountMax
         FROM fragments AS f JOIN extents AS e USING (extent_id) WHERE f.disk_id = ?`,
      )
      .get(diskId) as { bytes: number; replicaCountMax: number };
  }

  /** By disk: how many replicas a run left alone for one of `reasons`, and the size of the largest. */
  blocked(
    runId: number,
    reasons: readonly [string, string],
  ): { diskId: number; count: number; sizeBytesMax: number }[] {
    return this.#db
      .prepare(
        `SELECT x.disk_id AS diskId, COUNT(*) AS count, MAX(e.size_bytes) AS sizeBytesMax
         FROM run_exclusions AS x JOIN extents AS e USING (extent_id)
         WHERE x.run_id = ? AND x.reason IN (?, ?) GROUP BY x.disk_id`,
      )
      .all(runId, ...reasons) as ReturnType<RewriteCandidates['blocked']>;
  }

  /** Lets a run try again what it skipped for `reason`. @returns how many. */
  readmit(runId: number, reason: string): number {
    return this.#db
      .prepare('DELETE FROM run_exclusions WHERE run_id = ? AND reason = ?')
      .run(runId, reason).changes;
  }

  /** Replicas that lie in the reserve of their disk, without those that the run gave up on. */
  inReserve(runId: number, limit: number): Candidate[] {
    return this.#db
      .prepare(
        `SELECT DISTINCT f.extent_id AS extentId, f.disk_id AS diskId
         FROM disks AS d JOIN fragments AS f ON f.disk_id = d.disk_id
         WHERE f.start_bytes >= d.capacity_bytes - d.reserve_bytes
           AND NOT EXISTS (SELECT 1 FROM run_exclusions AS x
             WHERE x.run_id = ? AND x.extent_id = f.extent_id AND x.disk_id = f.disk_id)
         LIMIT ?`,
      )
      .all(runId, limit) as Candidate[];
  }

  exclude(runId: number, candidate: Candidate, outcome: ExclusionOutcome, reason: string): void {
    this.#db
      .prepare('INSERT OR IGNORE INTO run_exclusions VALUES (?, ?, ?, ?, ?)')
      .run(runId, candidate.extentId, candidate.diskId, outcome, reason);
  }

  /** How many replicas a run left alone, by outcome and reason. */
  exclusions(runId: number): { outcome: ExclusionOutcome; reason: string; count: number }[] {
    return this.#db
      .prepare(
        `SELECT outcome, reason, COUNT(*) AS count FROM run_exclusions WHERE run_id = ?
         GROUP BY outcome, reason ORDER BY count DESC`,
      )
      .all(runId) as ReturnType<RewriteCandidates['exclusions']>;
  }
}
