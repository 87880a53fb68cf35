/**
 * Moves that were begun and are not known to be over. A row is written before the first block moves
 * and deleted once the donor is gone: what a crash leaves here is finished or undone by the next agent.
 */

import type { MoveIntent } from '../domain/move-tasks.js';
import type { Db } from './database.js';

export interface StoredIntent {
  readonly intentId: number;
  readonly intent: MoveIntent;
}

export class MoveIntents {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /** Safe while: in the one transaction of the group. @returns the ids, in order. */
  add(runId: number, intents: readonly MoveIntent[], nowMs: number): number[] {
    const insert = this.#db.prepare(
      'INSERT INTO move_intents (run_id, intent, written_at_ms) VALUES (?, ?, ?)',
    );
    return intents.map((intent) =>
      Number(insert.run(runId, JSON.stringify(intent), nowMs).lastInsertRowid),
    );
  }

  all(): StoredIntent[] {
    const rows = this.#db
      .prepare('SELECT intent_id AS intentId, intent FROM move_intents ORDER BY intent_id')
      .all() as { intentId: number; intent: string }[];
    return rows.map(({ intentId, intent }) => ({ intentId, intent: JSON.parse(intent) }));
  }

  count(): number {
    const row = this.#db.prepare('SELECT COUNT(*) AS count FROM move_intents').get();
    return (row as { count: number }).count;
  }

  remove(intentId: number): void {
    this.#db.prepare('DELETE FROM move_intents WHERE intent_id = ?').run(intentId);
  }
}
