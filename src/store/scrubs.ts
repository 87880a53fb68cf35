/** What scrubs were asked for and how far they came; their figures are those of their run. */

import type { Db } from './database.js';
import type { PlannedWork } from './rewrite-candidates.js';

export interface ScrubRow {
  readonly runId: number;
  /** Whether it repairs what it finds. */
  readonly repairs: boolean;
  /** Extents up to this id are verified. */
  readonly cursorExtentId: number;
  readonly repairedCount: number;
  readonly unrepairableCount: number;
}

export class ScrubStore {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  insert(runId: number, repairs: boolean, cursorExtentId: number): void {
    this.#db
      .prepare('INSERT INTO scrubs (run_id, repairs, cursor_extent_id) VALUES (?, ?, ?)')
      .run(runId, Number(repairs), cursorExtentId);
  }

  get(runId: number): ScrubRow | null {
    const row = this.#db
      .prepare(
        `SELECT run_id AS runId, repairs, cursor_extent_id AS cursorExtentId,
           repaired_count AS repairedCount, unrepairable_count AS unrepairableCount
         FROM scrubs WHERE run_id = ?`,
      )
      .get(runId) as (Omit<ScrubRow, 'repairs'> & { repairs: number }) | undefined;
    return row === undefined ? null : { ...row, repairs: row.repairs === 1 };
  }

  setRepairs(runId: number, repairs: boolean): void {
    this.#db.prepare('UPDATE scrubs SET repairs = ? WHERE run_id = ?').run(Number(repairs), runId);
  }

  advance(runId: number, cursorExtentId: number): void {
    this.#db
      .prepare('UPDATE scrubs SET cursor_extent_id = ? WHERE run_id = ?')
      .run(cursorExtentId, runId);
  }

  addRepairs(runId: number, repairedCount: number, unrepairableCount: number): void {
    this.#db
      .prepare(
        `UPDATE scrubs SET repaired_count = repaired_count + ?,
           unrepairable_count = unrepairable_count + ? WHERE run_id = ?`,
      )
      .run(repairedCount, unrepairableCount, runId);
  }

  /** Replicas that are to be verified. @param diskId null for those of all disks. */
  plan(afterExtentId: number, diskId: number | null): PlannedWork {
    return this.#db
      .prepare(
        `SELECT COUNT(*) AS count, COALESCE(SUM(e.size_bytes), 0) AS bytes
         FROM fragments AS f JOIN extents AS e USING (extent_id)
         WHERE f.position = 0 AND f.extent_id > @afterExtentId
           AND (@diskId IS NULL OR f.disk_id = @diskId)`,
      )
      .get({ afterExtentId, diskId }) as PlannedWork;
  }
}
