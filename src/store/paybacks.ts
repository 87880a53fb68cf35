/** What runs gained; see src/domain/payback.ts. Bounded: the last runs. */

import type { Payback, PaybackFigures, SampledRead } from '../domain/payback.js';
import type { Db } from './database.js';

export const PAYBACK_STEP = `
CREATE TABLE paybacks (
  run_id INTEGER PRIMARY KEY,
  reclamation_id INTEGER,
  trigger TEXT NOT NULL,
  media TEXT NOT NULL,
  started_at_ms INTEGER NOT NULL,
  ended_at_ms INTEGER,
  before TEXT,
  skipped_reason TEXT,
  figures TEXT
);
`;

const ROWS_MAX = 200;

const COLUMNS = `run_id AS runId, reclamation_id AS reclamationId, trigger, media,
  started_at_ms AS startedAtMs, ended_at_ms AS endedAtMs, skipped_reason AS skippedReason, figures`;

export type NewPayback = Pick<
  Payback,
  'runId' | 'reclamationId' | 'trigger' | 'media' | 'startedAtMs' | 'skippedReason'
>;

export class PaybackStore {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  get(runId: number): Payback | null {
    const sql = `SELECT ${COLUMNS} FROM paybacks WHERE run_id = ?`;
    const row = this.#db.prepare(sql).get(runId) as RawPayback | undefined;
    return row ? toPayback(row) : null;
  }

  /** The newest first. */
  recent(limit: number): Payback[] {
    const sql = `SELECT ${COLUMNS} FROM paybacks ORDER BY run_id DESC LIMIT ?`;
    return (this.#db.prepare(sql).all(limit) as RawPayback[]).map(toPayback);
  }

  /** What was read before the run; empty when nothing was, or it is over. */
  readsBefore(runId: number): SampledRead[] {
    const row = this.#db.prepare('SELECT before FROM paybacks WHERE run_id = ?').get(runId) as
      | { before: string | null }
      | undefined;
    return row?.before ? JSON.parse(row.before) : [];
  }

  /** @param reads null where nothing was measured, for the reason that is given. */
  begin(payback: NewPayback, reads: readonly SampledRead[] | null): void {
    this.#db
      .prepare(
        `INSERT OR IGNORE INTO paybacks (run_id, reclamation_id, trigger, media, started_at_ms,
           skipped_reason, before)
         VALUES (@runId, @reclamationId, @trigger, @media, @startedAtMs, @skippedReason, @before)`,
      )
      .run({ ...payback, before: reads && JSON.stringify(reads) });
    this.#db
      .prepare(
        `DELETE FROM paybacks WHERE run_id <= (SELECT run_id FROM paybacks
           ORDER BY run_id DESC LIMIT 1 OFFSET ?)`,
      )
      .run(ROWS_MAX);
  }

  /** The sample is of no use any more. */
  end(
    runId: number,
    endedAtMs: number,
    { figures, skippedReason }: Pick<Payback, 'figures' | 'skippedReason'>,
  ): void {
    this.#db
      .prepare(
        `UPDATE paybacks SET ended_at_ms = ?, figures = ?, skipped_reason = ?, before = NULL
         WHERE run_id = ?`,
      )
      .run(endedAtMs, figures && JSON.stringify(figures), skippedReason, runId);
  }
}

interface RawPayback extends Omit<Payback, 'figures'> {
  readonly figures: string | null;
}

function toPayback(row: RawPayback): Payback {
  const figures = row.figures === null ? null : (JSON.parse(row.figures) as PaybackFigures);
  return { ...row, figures };
}
