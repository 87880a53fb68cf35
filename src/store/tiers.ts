/** Which tier extents belong to, and which of their replicas lie elsewhere. */

import type { Tier } from '../domain/heat.js';
import { tierScores } from '../domain/tiering.js';
import type { Db } from './database.js';
import type { Candidate, PlannedWork } from './rewrite-candidates.js';

/** As `tierByHeat` in src/domain/tiering.ts, for all extents at once. */
const BY_HEAT = `CASE
  WHEN heat_score >= @upHot OR (tier = 'hot' AND heat_score >= @downHot) THEN @hot
  WHEN tier = 'cold' THEN CASE WHEN heat_score >= @upWarm THEN @warm ELSE @cold END
  WHEN heat_score >= @downWarm THEN @warm
  ELSE @cold END`;

/** Another disk of the extent's tier could take a replica that lies on a disk of another tier. */
const MISPLACED = `FROM disks AS d JOIN fragments AS f ON f.disk_id = d.disk_id AND f.position = 0
  JOIN extents AS e ON e.extent_id = f.extent_id
  WHERE d.tier <> e.tier AND d.evacuating = 0 AND EXISTS (SELECT 1 FROM disks AS o
    WHERE o.tier = e.tier AND o.evacuating = 0 AND NOT EXISTS (SELECT 1 FROM fragments AS h
      WHERE h.extent_id = e.extent_id AND h.disk_id = o.disk_id))`;

export class TierStore {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /** Tiers of the disks of the pool. */
  present(): Set<Tier> {
    return new Set(this.#db.prepare('SELECT DISTINCT tier FROM disks').pluck().all() as Tier[]);
  }

  /**
   * Gives every extent the tier of its heat. Nothing moves by that.
   *
   * @param places what stands for each tier: the nearest one that has disks.
   * @returns how many changed.
   */
  retag(nowMs: number, places: Readonly<Record<Tier, Tier>>): number {
    return this.#db
      .prepare(`UPDATE extents SET tier = ${BY_HEAT} WHERE tier <> ${BY_HEAT}`)
      .run({ ...tierScores(nowMs), ...places }).changes;
  }

  planMisplaced(): PlannedWork {
    return this.#db
      .prepare(`SELECT COUNT(*) AS count, COALESCE(SUM(e.size_bytes), 0) AS bytes ${MISPLACED}`)
      .get() as PlannedWork;
  }

  /** The hottest first, without those that the run gave up on. */
  misplaced(runId: number, limit: number): Candidate[] {
    return this.#db
      .prepare(
        `SELECT e.extent_id AS extentId, f.disk_id AS diskId ${MISPLACED}
           AND NOT EXISTS (SELECT 1 FROM run_exclusions AS x WHERE x.run_id = @runId
             AND x.extent_id = f.extent_id AND x.disk_id = f.disk_id)
         ORDER BY e.heat_score DESC, e.extent_id LIMIT @limit`,
      )
      .all({ runId, limit }) as Candidate[];
  }
}
