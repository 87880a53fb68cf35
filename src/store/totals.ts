/** Counters of a pool that only go up, over all processes and restarts; metrics are read from them. */

import type { Db } from './database.js';

export const TOTAL_NAMES = [
  'defrag_runs_completed',
  'defrag_extents_moved',
  'defrag_bytes_moved',
  'defrag_extents_skipped',
  'defrag_errors',
  'defrag_busy_ms',
  'trim_operations',
  'trim_ranges',
  'trim_bytes_requested',
  'trim_bytes_confirmed',
  'trim_bytes_reclaimed',
  'trim_failures',
  'trim_unsupported',
  'trim_last_at_ms',
  'put_bytes',
  'get_bytes',
  'bad_replicas_seen',
  'bad_replicas_repaired',
] as const;
export type TotalName = (typeof TOTAL_NAMES)[number];
export type Totals = Readonly<Record<TotalName, number>>;

export class TotalStore {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  add(deltas: Partial<Totals>): void {
    const upsert = this.#db.prepare(
      `INSERT INTO totals VALUES (?, ?)
       ON CONFLICT (name) DO UPDATE SET value = value + excluded.value`,
    );
    for (const [name, delta] of Object.entries(deltas)) if (delta) upsert.run(name, delta);
  }

  set(name: TotalName, value: number): void {
    this.#db
      .prepare(
        'INSERT INTO totals VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
      )
      .run(name, value);
  }

  read(): Totals {
    const rows = this.#db.prepare('SELECT name, value FROM totals').all() as {
      name: string;
      value: number;
    }[];
    const known = new Map(rows.map((row) => [row.name, row.value]));
    return Object.fromEntries(TOTAL_NAMES.map((name) => [name, known.get(name) ?? 0])) as Totals;
  }
}
