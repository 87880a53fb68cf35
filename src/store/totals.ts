/** Keeps the totals of a pool; see src/domain/totals.ts. */

import { TOTAL_NAMES, type TotalName, type Totals } from '../domain/totals.js';
import type { Db } from './database.js';

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
