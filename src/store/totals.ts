/** Keeps the totals of a pool; see src/domain/totals.ts. */

import { TOTAL_NAMES, type TotalName, type Totals, WEAR_TOTALS } from '../domain/totals.js';
import type { Db } from './database.js';
import type { TrendStore } from './trends.js';

export class TotalStore {
  readonly #db: Db;
  readonly #trends: TrendStore;

  /** @param trends is told what of it belongs to this hour and day. */
  constructor(db: Db, trends: TrendStore) {
    this.#db = db;
    this.#trends = trends;
  }

  add(deltas: Partial<Totals>): void {
    const upsert = this.#db.prepare(
      `INSERT INTO totals VALUES (?, ?)
       ON CONFLICT (name) DO UPDATE SET value = value + excluded.value`,
    );
    for (const [name, delta] of Object.entries(deltas)) if (delta) upsert.run(name, delta);
    this.#trends.count({
      rewrittenBytes: WEAR_TOTALS.reduce((sum, name) => sum + (deltas[name] ?? 0), 0),
      reclaimedBytes: deltas.trim_bytes_reclaimed ?? 0,
    });
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
