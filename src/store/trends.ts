/**
 * Hours and days of a pool; see src/domain/trends.ts. Bounded: the rows that were begun first go.
 *
 * Not the oldest by date: a clock that was wrong by years, either way, would cost the whole history.
 */

import {
  TREND_ROWS_MAX,
  TREND_SPAN_MS,
  type TrendFigures,
  type TrendPoint,
  type TrendSpan,
} from '../domain/trends.js';
import type { Db } from './database.js';

export const TREND_STEP = `
CREATE TABLE trend_points (
  point_id INTEGER PRIMARY KEY AUTOINCREMENT,
  span TEXT NOT NULL CHECK (span IN ('hour', 'day')),
  start_ms INTEGER NOT NULL,
  figures TEXT,
  rewritten_bytes INTEGER NOT NULL DEFAULT 0,
  reclaimed_bytes INTEGER NOT NULL DEFAULT 0,
  UNIQUE (span, start_ms)
);
CREATE INDEX trend_points_as_begun ON trend_points (span, point_id);
`;

const SPANS = Object.keys(TREND_SPAN_MS) as readonly TrendSpan[];

export interface TrendBytes {
  readonly rewrittenBytes: number;
  readonly reclaimedBytes: number;
}

export class TrendStore {
  readonly #db: Db;
  readonly #clock: () => number;

  /** @param clock epoch milliseconds: says to which hour and day belongs what is counted. */
  constructor(db: Db, clock: () => number) {
    this.#db = db;
    this.#clock = clock;
  }

  /**
   * Adds to the hour and day that it is now. With the totals, in the same transaction, so that the
   * sum of a day is exact whoever looks, and whenever an agent was there.
   */
  count({ rewrittenBytes, reclaimedBytes }: TrendBytes): void {
    if (rewrittenBytes === 0 && reclaimedBytes === 0) return;
    const upsert = this.#db.prepare(
      `INSERT INTO trend_points (span, start_ms, rewritten_bytes, reclaimed_bytes)
       VALUES (?, ?, ?, ?) ON CONFLICT (span, start_ms) DO UPDATE SET
         rewritten_bytes = rewritten_bytes + excluded.rewritten_bytes,
         reclaimed_bytes = reclaimed_bytes + excluded.reclaimed_bytes`,
    );
    const nowMs = this.#clock();
    for (const span of SPANS) {
      upsert.run(span, startOf(span, nowMs), rewrittenBytes, reclaimedBytes);
    }
  }

  /** The last figures of an hour or day are its figures. Safe while: in a transaction. */
  record(figures: TrendFigures, nowMs: number): void {
    const upsert = this.#db.prepare(
      `INSERT INTO trend_points (span, start_ms, figures) VALUES (?, ?, ?)
       ON CONFLICT (span, start_ms) DO UPDATE SET figures = excluded.figures`,
    );
    const prune = this.#db.prepare(
      `DELETE FROM trend_points WHERE span = @span AND point_id <= (SELECT point_id
         FROM trend_points INDEXED BY trend_points_as_begun WHERE span = @span
         ORDER BY point_id DESC LIMIT 1 OFFSET @kept)`,
    );
    for (const span of SPANS) {
      upsert.run(span, startOf(span, nowMs), JSON.stringify(figures));
      prune.run({ span, kept: TREND_ROWS_MAX[span] });
    }
  }

  /** Those that begin from `fromMs` up to `toMs`, both included, in the order of time. */
  points(span: TrendSpan, fromMs: number, toMs: number): TrendPoint[] {
    const sql = `SELECT start_ms AS startMs, figures, rewritten_bytes AS rewrittenBytes,
        reclaimed_bytes AS reclaimedBytes FROM trend_points
      WHERE span = ? AND start_ms >= ? AND start_ms <= ? ORDER BY start_ms`;
    const rows = this.#db.prepare(sql).all(span, fromMs, toMs) as RawPoint[];
    return rows.map((row) => ({
      ...row,
      figures: row.figures === null ? null : JSON.parse(row.figures),
    }));
  }
}

interface RawPoint extends Omit<TrendPoint, 'figures'> {
  readonly figures: string | null;
}

/**
 * Written by moving data since 00:00 UTC: what a wear budget counts. Defragmentation, making room for
 * it, evacuation and moves between tiers; not repairs, which nobody would want to wait.
 */
export function wornTodayBytes({ trends }: { readonly trends: TrendStore }, nowMs: number): number {
  const startMs = startOf('day', nowMs);
  return trends.points('day', startMs, startMs)[0]?.rewrittenBytes ?? 0;
}

function startOf(span: TrendSpan, nowMs: number): number {
  const spanMs = TREND_SPAN_MS[span];
  return Math.floor(nowMs / spanMs) * spanMs;
}
