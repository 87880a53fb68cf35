/** Reclamations and their steps; see src/domain/reclamation.ts. At most one is open. */

import type { WireError } from '../domain/errors.js';
import {
  type EndCause,
  NO_OUTCOME,
  type PoolStanding,
  type Reclamation,
  type ReclamationOutcome,
  type ReclamationState,
  type ReclamationStep,
  type ReclamationTrigger,
  type RunScope,
  type StepPlan,
  type StepState,
  WHOLE_SCOPE,
} from '../domain/reclamation.js';
import type { Db } from './database.js';

export const RECLAMATION_STEP = `
CREATE TABLE reclamations (
  reclamation_id INTEGER PRIMARY KEY AUTOINCREMENT,
  state TEXT NOT NULL,
  trigger TEXT NOT NULL,
  scope TEXT,
  reason TEXT NOT NULL,
  actor TEXT NOT NULL,
  policy_version INTEGER NOT NULL,
  time_budget_ms INTEGER,
  started_at_ms INTEGER NOT NULL,
  ended_at_ms INTEGER,
  end_cause TEXT,
  error TEXT,
  before TEXT NOT NULL,
  after TEXT,
  outcome TEXT NOT NULL,
  helped INTEGER
);
CREATE UNIQUE INDEX reclamations_one_open ON reclamations ((1)) WHERE state IN ('running', 'paused');
CREATE TABLE reclamation_steps (
  reclamation_id INTEGER NOT NULL REFERENCES reclamations ON DELETE CASCADE,
  step_index INTEGER NOT NULL,
  plan TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'waiting',
  reason TEXT,
  run_id INTEGER,
  started_at_ms INTEGER,
  ended_at_ms INTEGER,
  PRIMARY KEY (reclamation_id, step_index)
) WITHOUT ROWID;
CREATE INDEX reclamation_steps_by_run ON reclamation_steps (run_id) WHERE run_id IS NOT NULL;
CREATE TABLE run_scopes (
  run_id INTEGER PRIMARY KEY REFERENCES runs ON DELETE CASCADE,
  scope TEXT NOT NULL
);
`;

const COLUMNS = `reclamation_id AS reclamationId, state, trigger, scope, reason, actor,
  policy_version AS policyVersion, time_budget_ms AS timeBudgetMs, started_at_ms AS startedAtMs,
  ended_at_ms AS endedAtMs, end_cause AS endCause, error, before, after, outcome, helped`;

const STEP_COLUMNS = `step_index AS "index", plan, state, reason, run_id AS runId,
  started_at_ms AS startedAtMs, ended_at_ms AS endedAtMs`;

export type NewReclamation = Pick<
  Reclamation,
  | 'trigger'
  | 'scope'
  | 'reason'
  | 'actor'
  | 'policyVersion'
  | 'timeBudgetMs'
  | 'startedAtMs'
  | 'before'
>;

export interface ReclamationEnd {
  readonly state: Exclude<ReclamationState, 'running' | 'paused'>;
  readonly endedAtMs: number;
  readonly endCause: EndCause | null;
  readonly error: WireError | null;
  readonly after: PoolStanding;
  readonly outcome: ReclamationOutcome;
  readonly helped: boolean | null;
}

export class ReclamationStore {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  get(reclamationId: number): Reclamation | null {
    return this.#one('WHERE reclamation_id = ?', reclamationId);
  }

  open(): Reclamation | null {
    return this.#one("WHERE state IN ('running', 'paused')");
  }

  /** The newest first, an open one too. */
  recent(limit: number): Reclamation[] {
    const sql = `SELECT ${COLUMNS} FROM reclamations ORDER BY reclamation_id DESC LIMIT ?`;
    return (this.#db.prepare(sql).all(limit) as RawReclamation[]).map(toReclamation);
  }

  /** Of all that ended. */
  endedTotals(): { count: number; reclaimedBytes: number; defragmentedCount: number } {
    const sql = `SELECT COUNT(*) AS count,
        COALESCE(SUM(outcome ->> 'reclaimedBytes'), 0) AS reclaimedBytes,
        COALESCE(SUM(outcome ->> 'defragmentedCount'), 0) AS defragmentedCount
      FROM reclamations WHERE ended_at_ms IS NOT NULL`;
    return this.#db.prepare(sql).get() as ReturnType<ReclamationStore['endedTotals']>;
  }

  /** How many of each trigger ended how: its cause where it has one, else its state. */
  endedCounts(): { trigger: ReclamationTrigger; end: string; count: number }[] {
    const sql = `SELECT trigger, COALESCE(end_cause, state) AS "end", COUNT(*) AS count
      FROM reclamations WHERE ended_at_ms IS NOT NULL GROUP BY 1, 2`;
    return this.#db.prepare(sql).all() as ReturnType<ReclamationStore['endedCounts']>;
  }

  /** The one of which a run is a step; null for a run on its own. */
  ofRun(runId: number): number | null {
    const sql = 'SELECT reclamation_id AS id FROM reclamation_steps WHERE run_id = ?';
    return (this.#db.prepare(sql).get(runId) as { id: number } | undefined)?.id ?? null;
  }

  steps(reclamationId: number): ReclamationStep[] {
    const sql = `SELECT ${STEP_COLUMNS} FROM reclamation_steps WHERE reclamation_id = ?
      ORDER BY step_index`;
    const rows = this.#db.prepare(sql).all(reclamationId) as RawStep[];
    return rows.map((row) => ({ ...row, plan: JSON.parse(row.plan) }));
  }

  /** Safe while: in a transaction, and none is open. */
  insert(reclamation: NewReclamation, plans: readonly StepPlan[]): number {
    const { lastInsertRowid } = this.#db
      .prepare(
        `INSERT INTO reclamations (state, trigger, scope, reason, actor, policy_version,
           time_budget_ms, started_at_ms, before, outcome)
         VALUES ('running', @trigger, @scope, @reason, @actor, @policyVersion, @timeBudgetMs,
           @startedAtMs, @before, @outcome)`,
      )
      .run({
        ...reclamation,
        before: JSON.stringify(reclamation.before),
        outcome: JSON.stringify(NO_OUTCOME),
      });
    const reclamationId = Number(lastInsertRowid);
    const insert = this.#db.prepare(
      'INSERT INTO reclamation_steps (reclamation_id, step_index, plan) VALUES (?, ?, ?)',
    );
    for (const [index, plan] of plans.entries()) {
      insert.run(reclamationId, index, JSON.stringify(plan));
    }
    return reclamationId;
  }

  /** Once it was analysed: how the pool stood before anything was done. */
  setBefore(reclamationId: number, before: PoolStanding): void {
    this.#db
      .prepare('UPDATE reclamations SET before = ? WHERE reclamation_id = ?')
      .run(JSON.stringify(before), reclamationId);
  }

  /** Safe while: the run is there. */
  setScope(runId: number, scope: RunScope): void {
    this.#db.prepare('INSERT INTO run_scopes VALUES (?, ?)').run(runId, JSON.stringify(scope));
  }

  scope(runId: number): RunScope {
    const row = this.#db.prepare('SELECT scope FROM run_scopes WHERE run_id = ?').get(runId) as
      | { scope: string }
      | undefined;
    return row ? JSON.parse(row.scope) : WHOLE_SCOPE;
  }

  /** @returns false when it is already over. */
  setPaused(reclamationId: number, paused: boolean): boolean {
    const sql = `UPDATE reclamations SET state = ?
      WHERE reclamation_id = ? AND state IN ('running', 'paused')`;
    return this.#db.prepare(sql).run(paused ? 'paused' : 'running', reclamationId).changes === 1;
  }

  /** @returns false when it is already over. */
  end(reclamationId: number, end: ReclamationEnd): boolean {
    const result = this.#db
      .prepare(
        `UPDATE reclamations SET state = @state, ended_at_ms = @endedAtMs, end_cause = @endCause,
           error = @error, after = @after, outcome = @outcome, helped = @helped
         WHERE reclamation_id = @reclamationId AND state IN ('running', 'paused')`,
      )
      .run({
        ...end,
        reclamationId,
        error: end.error && JSON.stringify(end.error),
        after: JSON.stringify(end.after),
        outcome: JSON.stringify(end.outcome),
        helped: end.helped === null ? null : Number(end.helped),
      });
    return result.changes === 1;
  }

  beginStep(reclamationId: number, index: number, runId: number | null, startedAtMs: number): void {
    const sql = `UPDATE reclamation_steps SET state = 'running', run_id = ?, started_at_ms = ?
      WHERE reclamation_id = ? AND step_index = ?`;
    this.#db.prepare(sql).run(runId, startedAtMs, reclamationId, index);
  }

  endStep(
    reclamationId: number,
    index: number,
    state: Exclude<StepState, 'waiting' | 'running'>,
    endedAtMs: number,
    reason: string | null = null,
  ): void {
    const sql = `UPDATE reclamation_steps SET state = ?, reason = ?, ended_at_ms = ?
      WHERE reclamation_id = ? AND step_index = ?`;
    this.#db.prepare(sql).run(state, reason, endedAtMs, reclamationId, index);
  }

  #one(where: string, ...parameters: unknown[]): Reclamation | null {
    const sql = `SELECT ${COLUMNS} FROM reclamations ${where}`;
    const row = this.#db.prepare(sql).get(...parameters) as RawReclamation | undefined;
    return row ? toReclamation(row) : null;
  }
}

interface RawReclamation
  extends Omit<Reclamation, 'error' | 'before' | 'after' | 'outcome' | 'helped'> {
  readonly error: string | null;
  readonly before: string;
  readonly after: string | null;
  readonly outcome: string;
  readonly helped: number | null;
}

interface RawStep extends Omit<ReclamationStep, 'plan'> {
  readonly plan: string;
}

function toReclamation(row: RawReclamation): Reclamation {
  return {
    ...row,
    error: row.error === null ? null : JSON.parse(row.error),
    before: JSON.parse(row.before),
    after: row.after === null ? null : JSON.parse(row.after),
    outcome: JSON.parse(row.outcome),
    helped: row.helped === null ? null : row.helped === 1,
  };
}
