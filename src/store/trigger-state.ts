/** What deciding about triggers remembers and asks: the clock of the ticks, and what was begun before. */

import type { TickClock } from '../domain/tick-clock.js';
import type { PastReclamation } from '../domain/trigger-facts.js';
import type { Db } from './database.js';

export const TRIGGER_STEP = `
CREATE TABLE tick_clock (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  clock TEXT NOT NULL
);
CREATE TABLE passed_thresholds (
  verdict_key TEXT PRIMARY KEY,
  since_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX reclamations_whole ON reclamations (reclamation_id) WHERE trigger <> 'freed';
CREATE INDEX reclamations_freed ON reclamations (reclamation_id) WHERE trigger = 'freed';
`;

/** As many of each kind are looked at; hysteresis doubles no more often than that. */
const RECENT_COUNT = 60;

const COLUMNS = `reclamation_id AS reclamationId, state, trigger, scope,
  started_at_ms AS startedAtMs, ended_at_ms AS endedAtMs, end_cause AS endCause, helped`;

export class TriggerStateStore {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /** The newest first, an open one too: the frequent trims push no other one out. */
  recent(): PastReclamation[] {
    const of = (condition: string) =>
      this.#db
        .prepare(
          `SELECT ${COLUMNS} FROM reclamations WHERE ${condition}
           ORDER BY reclamation_id DESC LIMIT ?`,
        )
        .all(RECENT_COUNT) as (Omit<PastReclamation, 'helped'> & { helped: number | null })[];
    return [...of("trigger <> 'freed'"), ...of("trigger = 'freed'")]
      .sort((a, b) => b.reclamationId - a.reclamationId)
      .map((row) => ({ ...row, helped: row.helped === null ? null : row.helped === 1 }));
  }

  /** @returns null before the first tick. */
  clock(): TickClock | null {
    const text = this.#db.prepare('SELECT clock FROM tick_clock').pluck().get() as
      | string
      | undefined;
    return text === undefined ? null : JSON.parse(text);
  }

  setClock(clock: TickClock): void {
    this.#db
      .prepare(
        'INSERT INTO tick_clock VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET clock = excluded.clock',
      )
      .run(JSON.stringify(clock));
  }

  /** By key: since when ticks have found the threshold passed. */
  passedSinceMs(): Record<string, number> {
    const sql = 'SELECT verdict_key AS key, since_ms AS sinceMs FROM passed_thresholds';
    const rows = this.#db.prepare(sql).all() as { key: string; sinceMs: number }[];
    return Object.fromEntries(rows.map(({ key, sinceMs }) => [key, sinceMs]));
  }

  /**
   * Those that were passed already keep their time, unless the clock was set back before it: they
   * would wait until it is there again. Safe while: in a transaction.
   */
  setPassed(keys: readonly string[], nowMs: number): void {
    const list = JSON.stringify(keys);
    this.#db
      .prepare('UPDATE passed_thresholds SET since_ms = @nowMs WHERE since_ms > @nowMs')
      .run({ nowMs });
    this.#db
      .prepare(
        'DELETE FROM passed_thresholds WHERE verdict_key NOT IN (SELECT value FROM json_each(?))',
      )
      .run(list);
    this.#db
      .prepare('INSERT OR IGNORE INTO passed_thresholds SELECT value, ? FROM json_each(?)')
      .run(nowMs, list);
  }
}
