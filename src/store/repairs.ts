/** Replicas that were found bad, when their repair is due, and the record of what became of them. */

import { FINDINGS_ENTERED, FINDINGS_KEPT, type Finding, repairWaitMs } from '../domain/repairs.js';
import { type Db, transaction } from './database.js';
import type { LedgerStore } from './ledger.js';
import type { Candidate, PlannedWork } from './rewrite-candidates.js';

export interface BadReplicaRow extends Candidate {
  readonly reason: string;
  /** Found by a scrub that was not asked to repair: left as it is until somebody reads it. */
  readonly held: boolean;
  /** Repairs of it that failed. */
  readonly failureCount: number;
  readonly seenAtMs: number;
}

export interface NamedBadReplica extends BadReplicaRow {
  readonly objectName: string;
  readonly extentIndex: number;
  readonly diskPath: string;
}

const COLUMNS = `b.extent_id AS extentId, b.disk_id AS diskId, b.reason, b.held,
  b.failure_count AS failureCount, b.seen_at_ms AS seenAtMs`;

export class RepairStore {
  readonly #db: Db;
  readonly #statements: ReturnType<typeof prepare>;
  readonly #ledger: LedgerStore;
  /** By kind: how many of the run, or of the reads of this process, were entered in the ledger. */
  readonly #entered = new Map<string, { runId: number | null; count: number }>();

  constructor(db: Db, ledger: LedgerStore) {
    this.#db = db;
    this.#statements = prepare(db);
    this.#ledger = ledger;
  }

  /** Safe while: in a transaction. @returns `gone` when there is no such replica any more. */
  recordBad(
    bad: Candidate & { reason: string; held: boolean; atMs: number },
  ): 'new' | 'known' | 'gone' {
    const wasKnown = this.isBad(bad);
    const { changes } = this.#statements.recordBad.run({ ...bad, held: Number(bad.held) });
    if (changes === 0) return 'gone';
    return wasKnown ? 'known' : 'new';
  }

  isBad({ extentId, diskId }: Candidate): boolean {
    return this.#statements.isBad.get(extentId, diskId) !== undefined;
  }

  /** How many repairs of it failed. */
  failureCount({ extentId, diskId }: Candidate): number {
    const row = this.#statements.get.get(extentId, diskId) as RawBad | undefined;
    return row?.failureCount ?? 0;
  }

  /** Disks whose replica of this extent is bad. */
  badDisksOf(extentId: number): Set<number> {
    return new Set(this.#statements.badDisks.pluck().all(extentId) as number[]);
  }

  /** It was read again and is good. */
  forget({ extentId, diskId }: Candidate): void {
    this.#statements.forget.run(extentId, diskId);
  }

  all(): BadReplicaRow[] {
    return (this.#statements.all.all() as RawBad[]).map(toRow);
  }

  /** By the name of their object; `limit` bounds what a listing shows. */
  named(limit: number): NamedBadReplica[] {
    return (this.#statements.named.all(limit) as (RawBad & NamedBadReplica)[]).map(toRow);
  }

  /** Due ones, of the extents with the fewest good replicas first, without those a run gave up on. */
  due(runId: number, nowMs: number, limit: number): Candidate[] {
    return this.#statements.due.all({ runId, nowMs, limit }) as Candidate[];
  }

  planDue(nowMs: number): PlannedWork {
    return this.#statements.planDue.get(nowMs) as PlannedWork;
  }

  /** It is tried again later; other replicas are not kept waiting by it. */
  postpone(bad: Candidate, nowMs: number): void {
    const row = this.#statements.get.get(bad.extentId, bad.diskId) as RawBad | undefined;
    if (!row) return;
    const failureCount = row.failureCount + 1;
    const notBeforeMs = nowMs + repairWaitMs(failureCount);
    this.#statements.postpone.run(failureCount, notBeforeMs, bad.extentId, bad.diskId);
  }

  /** From now on the agent may repair it, although a scrub found it that only reports. */
  letGo({ extentId, diskId }: Candidate): void {
    this.#db
      .prepare('UPDATE bad_replicas SET held = 0 WHERE extent_id = ? AND disk_id = ?')
      .run(extentId, diskId);
  }

  /** Something changed that may make them possible: a disk came or came back. */
  tryAllAgain(): void {
    this.#db.prepare('UPDATE bad_replicas SET not_before_ms = 0').run();
  }

  /** Adds to the record, which forgets its oldest lines, and to the ledger, which forgets nothing. */
  addFinding(finding: Finding): void {
    transaction(this.#db, () => {
      const { lastInsertRowid } = this.#statements.addFinding.run(finding);
      this.#statements.dropFindings.run(Number(lastInsertRowid) - FINDINGS_KEPT);
      if (this.#mayEnter(finding)) this.#enter(finding);
    });
  }

  #enter({ what, runId, reason, atMs, ...replica }: Finding): void {
    const { objectName, extentIndex, extentId, diskPath } = replica;
    const figures = { object: objectName, extentIndex, extentId, disk: diskPath };
    this.#ledger.append({ atMs, event: `replica-${what}`, reason, runId, figures });
  }

  /** A dying disk must not fill the ledger: the end of a run tells how many there were in all. */
  #mayEnter({ what, runId }: Finding): boolean {
    const before = this.#entered.get(what);
    const count = before?.runId === runId ? before.count + 1 : 1;
    this.#entered.set(what, { runId, count });
    return count <= FINDINGS_ENTERED;
  }

  /** The newest first. @param runId null for those of all runs and reads. */
  findings(limit: number, runId: number | null = null): Finding[] {
    return this.#statements.findings.all({ limit, runId }) as Finding[];
  }
}

type RawBad = Omit<BadReplicaRow, 'held'> & { readonly held: number };

function toRow<T extends { readonly held: number | boolean }>(row: T): T & { held: boolean } {
  return { ...row, held: row.held === 1 };
}

function prepare(db: Db) {
  const good = `(SELECT COUNT(*) FROM fragments AS f
    WHERE f.extent_id = b.extent_id AND f.position = 0 AND NOT EXISTS (SELECT 1
      FROM bad_replicas AS o WHERE o.extent_id = f.extent_id AND o.disk_id = f.disk_id))`;
  return {
    recordBad: db.prepare(
      `INSERT INTO bad_replicas (extent_id, disk_id, reason, seen_at_ms, held)
       SELECT extent_id, disk_id, @reason, @atMs, @held
       FROM fragments WHERE extent_id = @extentId AND disk_id = @diskId AND position = 0
       ON CONFLICT (extent_id, disk_id) DO UPDATE SET reason = excluded.reason,
         seen_at_ms = excluded.seen_at_ms, held = MIN(held, excluded.held)`,
    ),
    isBad: db.prepare('SELECT 1 FROM bad_replicas WHERE extent_id = ? AND disk_id = ?'),
    badDisks: db.prepare('SELECT disk_id FROM bad_replicas WHERE extent_id = ?'),
    forget: db.prepare('DELETE FROM bad_replicas WHERE extent_id = ? AND disk_id = ?'),
    get: db.prepare(`SELECT ${COLUMNS} FROM bad_replicas AS b WHERE extent_id = ? AND disk_id = ?`),
    all: db.prepare(`SELECT ${COLUMNS} FROM bad_replicas AS b`),
    named: db.prepare(
      `SELECT ${COLUMNS}, o.name AS objectName, e.extent_index AS extentIndex, d.path AS diskPath
       FROM bad_replicas AS b JOIN extents AS e USING (extent_id) JOIN objects AS o USING (object_id)
       JOIN disks AS d ON d.disk_id = b.disk_id ORDER BY o.name, e.extent_index, d.path LIMIT ?`,
    ),
    due: db.prepare(
      `SELECT b.extent_id AS extentId, b.disk_id AS diskId FROM bad_replicas AS b
       WHERE b.held = 0 AND b.not_before_ms <= @nowMs AND NOT EXISTS (SELECT 1
         FROM run_exclusions AS x
         WHERE x.run_id = @runId AND x.extent_id = b.extent_id AND x.disk_id = b.disk_id)
       ORDER BY ${good}, b.extent_id LIMIT @limit`,
    ),
    planDue: db.prepare(
      `SELECT COUNT(*) AS count, COALESCE(SUM(e.size_bytes), 0) AS bytes
       FROM bad_replicas AS b JOIN extents AS e USING (extent_id)
       WHERE b.held = 0 AND b.not_before_ms <= ?`,
    ),
    postpone: db.prepare(
      `UPDATE bad_replicas SET failure_count = ?, not_before_ms = ?
       WHERE extent_id = ? AND disk_id = ?`,
    ),
    addFinding: db.prepare(
      `INSERT INTO replica_findings
         (run_id, what, object_name, extent_index, extent_id, disk_path, reason, at_ms)
       VALUES (@runId, @what, @objectName, @extentIndex, @extentId, @diskPath, @reason, @atMs)`,
    ),
    dropFindings: db.prepare('DELETE FROM replica_findings WHERE finding_id <= ?'),
    findings: db.prepare(
      `SELECT run_id AS runId, what, object_name AS objectName, extent_index AS extentIndex,
         extent_id AS extentId, disk_path AS diskPath, reason, at_ms AS atMs
       FROM replica_findings WHERE @runId IS NULL OR run_id = @runId
       ORDER BY finding_id DESC LIMIT @limit`,
    ),
  };
}
