/** Who paused what, why, and for how long; see src/domain/pauses.ts. Both kinds of pools have it. */

import type { Pause, PauseHold, PauseSubject } from '../domain/pauses.js';
import type { Db } from './database.js';

/** Whoever resumes or ends what is paused, and by whatever way, ends its pause. */
export const PAUSE_STEP = `
CREATE TABLE pauses (
  kind TEXT NOT NULL CHECK (kind IN ('run', 'reclamation')),
  subject_id INTEGER NOT NULL,
  actor TEXT NOT NULL,
  reason TEXT,
  paused_at_ms INTEGER NOT NULL,
  hold TEXT,
  PRIMARY KEY (kind, subject_id)
) WITHOUT ROWID;
CREATE TRIGGER pause_of_run_ends AFTER UPDATE OF state ON runs WHEN NEW.state <> 'paused'
BEGIN DELETE FROM pauses WHERE kind = 'run' AND subject_id = NEW.run_id; END;
CREATE TRIGGER pause_of_reclamation_ends AFTER UPDATE OF state ON reclamations
WHEN NEW.state <> 'paused'
BEGIN
  DELETE FROM pauses WHERE kind = 'reclamation' AND subject_id = NEW.reclamation_id;
END;
`;

const COLUMNS = 'kind, subject_id AS id, actor, reason, paused_at_ms AS pausedAtMs, hold';

export interface PauseRow extends Pause {
  readonly subject: PauseSubject;
}

export class PauseStore {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /** In place of an earlier one. Safe while: it is paused. */
  set({ kind, id }: PauseSubject, { actor, reason, pausedAtMs, hold }: Pause): void {
    this.#db
      .prepare('INSERT OR REPLACE INTO pauses VALUES (?, ?, ?, ?, ?, ?)')
      .run(kind, id, actor, reason, pausedAtMs, hold && JSON.stringify(hold));
  }

  setHold({ kind, id }: PauseSubject, hold: PauseHold): void {
    this.#db
      .prepare('UPDATE pauses SET hold = ? WHERE kind = ? AND subject_id = ?')
      .run(JSON.stringify(hold), kind, id);
  }

  /** @returns null for what is not paused, or was before anybody was asked who does it. */
  of({ kind, id }: PauseSubject): PauseRow | null {
    const sql = `SELECT ${COLUMNS} FROM pauses WHERE kind = ? AND subject_id = ?`;
    const row = this.#db.prepare(sql).get(kind, id) as RawPause | undefined;
    return row ? toPause(row) : null;
  }

  /** Those that end by themselves. */
  timed(): (PauseRow & { readonly hold: PauseHold })[] {
    const sql = `SELECT ${COLUMNS} FROM pauses WHERE hold IS NOT NULL`;
    return (this.#db.prepare(sql).all() as RawPause[]).map(toPause) as ReturnType<
      PauseStore['timed']
    >;
  }
}

interface RawPause extends PauseSubject, Omit<Pause, 'hold'> {
  readonly hold: string | null;
}

function toPause({ kind, id, hold, ...row }: RawPause): PauseRow {
  return { ...row, subject: { kind, id }, hold: hold === null ? null : JSON.parse(hold) };
}
