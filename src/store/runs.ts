/** Runs: what is being done, or was done, to a pool. See src/domain/runs.ts for their states. */

import type { WireError } from '../domain/errors.js';
import type { JsonObject } from '../domain/ledger.js';
import { beginningFigures, endFigures, lateFigures, triggerReason } from '../domain/run-figures.js';
import {
  isOpen,
  NO_PROGRESS,
  type Run,
  type RunExclusion,
  type RunKind,
  type RunProgress,
  type RunState,
} from '../domain/runs.js';
import { type Db, type Statement, transaction } from './database.js';
import type { LedgerStore } from './ledger.js';

const COLUMNS = `run_id AS runId, kind, state, trigger, intensity, thread_count AS threadCount,
  disk_id AS diskId, secure_erase AS secureErase, batch_index AS batchIndex,
  cursor_disk_id AS cursorDiskId, cursor_bytes AS cursorBytes, started_at_ms AS startedAtMs, ended_at_ms AS endedAtMs, error, progress`;

export type NewRun = Pick<Run, 'kind' | 'trigger' | 'intensity' | 'threadCount' | 'diskId'> & {
  readonly secureErase: boolean;
  readonly startedAtMs: number;
  readonly plannedCount: number;
  readonly plannedBytes: number;
  /** For people, in place of what is said of its trigger. */
  readonly reason?: string;
};

/** What the ledger tells of a run and that other tables know. */
export interface RunSurroundings {
  exclusions(runId: number): RunExclusion[];
  diskPath(diskId: number): string | null;
  /** What only runs of its kind have. */
  details(run: Run): JsonObject;
}

export class RunStore {
  readonly #db: Db;
  readonly #ledger: LedgerStore;
  readonly #around: RunSurroundings;
  #isRunning: Statement | null = null;

  constructor(db: Db, ledger: LedgerStore, around: RunSurroundings) {
    this.#db = db;
    this.#ledger = ledger;
    this.#around = around;
  }

  /** Asked many times a second while a run is at work. */
  isRunning(runId: number): boolean {
    this.#isRunning ??= this.#db
      .prepare("SELECT 1 FROM runs WHERE run_id = ? AND state = 'running'")
      .pluck();
    return this.#isRunning.get(runId) !== undefined;
  }

  get(runId: number): Run | null {
    return this.#one(`SELECT ${COLUMNS} FROM runs WHERE run_id = ?`, runId);
  }

  /** The open run of a kind, of which there is at most one. */
  open(kind: RunKind): Run | null {
    return this.#one(
      `SELECT ${COLUMNS} FROM runs WHERE kind = ? AND state IN ('running', 'paused')`,
      kind,
    );
  }

  openRuns(): Run[] {
    const sql = `SELECT ${COLUMNS} FROM runs WHERE state IN ('running', 'paused') ORDER BY run_id`;
    return (this.#db.prepare(sql).all() as RawRun[]).map(toRun);
  }

  last(kind: RunKind): Run | null {
    return this.#one(
      `SELECT ${COLUMNS} FROM runs WHERE kind = ? ORDER BY run_id DESC LIMIT 1`,
      kind,
    );
  }

  /** How many runs of each kind ended in each state. */
  endedCounts(): { kind: RunKind; state: RunState; count: number }[] {
    const sql = `SELECT kind, state, count(*) AS count FROM runs
      WHERE state NOT IN ('running', 'paused') GROUP BY kind, state`;
    return this.#db.prepare(sql).all() as ReturnType<RunStore['endedCounts']>;
  }

  recent(limit: number): Run[] {
    const sql = `SELECT ${COLUMNS} FROM runs ORDER BY run_id DESC LIMIT ?`;
    return (this.#db.prepare(sql).all(limit) as RawRun[]).map(toRun);
  }

  insert(run: NewRun): number {
    const { plannedCount, plannedBytes, secureErase, reason, ...columns } = run;
    return transaction(this.#db, () => {
      const result = this.#db
        .prepare(
          `INSERT INTO runs (kind, state, trigger, intensity, thread_count, disk_id, secure_erase,
             started_at_ms, progress)
           VALUES (@kind, 'running', @trigger, @intensity, @threadCount, @diskId, @secureErase,
             @startedAtMs, @progress)`,
        )
        .run({
          ...columns,
          secureErase: Number(secureErase),
          progress: JSON.stringify({ ...NO_PROGRESS, plannedCount, plannedBytes }),
        });
      const runId = Number(result.lastInsertRowid);
      const diskPath = run.diskId === null ? null : this.#around.diskPath(run.diskId);
      this.#ledger.append({
        ...{ atMs: run.startedAtMs, event: 'run-began', runId },
        reason: reason ?? triggerReason(run.trigger),
        reclamationId: this.#reclamationOf(runId, run.trigger),
        figures: beginningFigures(run, diskPath),
      });
      return runId;
    });
  }

  /**
   * @param reason who or what wanted it, for the ledger; null where the state says it all.
   * @returns false when the run is already over.
   */
  setState(
    runId: number,
    state: RunState,
    nowMs: number,
    error: WireError | null = null,
    reason: string | null = null,
  ): boolean {
    return transaction(this.#db, () => {
      const run = this.get(runId);
      if (run === null || !isOpen(run.state)) return false;
      this.#db
        .prepare('UPDATE runs SET state = ?, ended_at_ms = ?, error = ? WHERE run_id = ?')
        .run(state, isOpen(state) ? null : nowMs, error && JSON.stringify(error), runId);
      if (state !== run.state) this.#enterState(run, state, nowMs, error, reason);
      return true;
    });
  }

  /** Without an entry: whoever pauses it says who and why. Safe while: it is open. */
  pause(runId: number): void {
    this.#db
      .prepare("UPDATE runs SET state = 'paused' WHERE run_id = ? AND state = 'running'")
      .run(runId);
  }

  #enterState(
    run: Run,
    state: RunState,
    atMs: number,
    error: WireError | null,
    reason: string | null,
  ): void {
    const { runId, kind, trigger } = run;
    const reclamationId = this.#reclamationOf(runId, trigger);
    if (isOpen(state)) {
      const event = state === 'paused' ? 'run-paused' : 'run-resumed';
      this.#ledger.append({ atMs, event, reason, runId, reclamationId, figures: { kind } });
      return;
    }
    const details = this.#around.details(run);
    this.#ledger.append({
      ...{ atMs, event: 'run-ended', runId, reclamationId },
      reason: reason ?? error?.message ?? null,
      figures: {
        ...{ state, error: error ?? undefined },
        ...endFigures(run, atMs, this.#around.exclusions(runId), details),
      },
    });
  }

  setIntensity(runId: number, intensity: Run['intensity'], threadCount: number): void {
    transaction(this.#db, () => {
      const run = this.get(runId);
      if (run?.intensity === intensity && run.threadCount === threadCount) return;
      this.#db
        .prepare('UPDATE runs SET intensity = ?, thread_count = ? WHERE run_id = ?')
        .run(intensity, threadCount, runId);
      const figures = { kind: run?.kind, intensity, threadCount };
      this.#ledger.append({ atMs: this.#ledger.now(), event: 'run-changed', runId, figures });
    });
  }

  /** Adds to the figures of a run. Safe while: in the transaction that did what it counts. */
  addProgress(runId: number, delta: Partial<RunProgress>): void {
    transaction(this.#db, () => {
      const run = this.get(runId);
      if (run === null) return;
      const sum: Record<string, number> = { ...run.progress };
      for (const [key, value] of Object.entries(delta)) sum[key] = (sum[key] ?? 0) + value;
      this.#db
        .prepare('UPDATE runs SET progress = ? WHERE run_id = ?')
        .run(JSON.stringify(sum), runId);
      const late = isOpen(run.state) ? null : lateFigures(run, delta);
      if (late === null) return;
      const reclamationId = this.#reclamationOf(runId, run.trigger);
      const atMs = this.#ledger.now();
      this.#ledger.append({ atMs, event: 'run-late-work', runId, reclamationId, figures: late });
    });
  }

  setCursor(runId: number, diskId: number, atBytes: number): void {
    this.#db
      .prepare('UPDATE runs SET cursor_disk_id = ?, cursor_bytes = ? WHERE run_id = ?')
      .run(diskId, atBytes, runId);
  }

  /** @returns false when another job already ran this batch. */
  finishBatch(runId: number, batchIndex: number): boolean {
    const result = this.#db
      .prepare('UPDATE runs SET batch_index = batch_index + 1 WHERE run_id = ? AND batch_index = ?')
      .run(runId, batchIndex);
    return result.changes === 1;
  }

  /** A run that just began is no step of its reclamation yet. */
  #reclamationOf(runId: number, trigger: string): number | null {
    const sql = `SELECT reclamation_id FROM reclamation_steps WHERE run_id = @runId UNION ALL
      SELECT reclamation_id FROM reclamations
      WHERE @trigger = 'reclamation' AND state IN ('running', 'paused') LIMIT 1`;
    const id = this.#db.prepare(sql).pluck().get({ runId, trigger }) as number | undefined;
    return id ?? null;
  }

  #one(sql: string, ...parameters: unknown[]): Run | null {
    const row = this.#db.prepare(sql).get(...parameters) as RawRun | undefined;
    return row === undefined ? null : toRun(row);
  }
}

interface RawRun extends Omit<Run, 'secureErase' | 'error' | 'progress'> {
  readonly secureErase: number;
  readonly error: string | null;
  readonly progress: string;
}

function toRun(row: RawRun): Run {
  return {
    ...row,
    secureErase: row.secureErase === 1,
    error: row.error === null ? null : JSON.parse(row.error),
    progress: { ...NO_PROGRESS, ...JSON.parse(row.progress) },
  };
}
