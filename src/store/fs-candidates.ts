/**
 * The files that a run on a mounted file system wants to move: the worst that its scan found, by
 * handle. They say what became of each; the counts by reason outlive them.
 */

import type { RunExclusion } from '../domain/runs.js';
import type { Db } from './database.js';

export interface NewFsCandidate {
  readonly handle: string;
  /** 0 is moved first. */
  readonly tierRank: number;
  /** The highest is moved first: of `gainClassOf`. */
  readonly gainClass: number;
  readonly allocatedBytes: number;
  readonly fragmentCount: number;
}

export interface FsCandidate extends NewFsCandidate {
  readonly candidateId: number;
  /** Where an earlier move of the file ended. */
  readonly resumeBytes: number;
}

const COLUMNS = `candidate_id AS candidateId, handle, tier_rank AS tierRank, gain_class AS gainClass,
  allocated_bytes AS allocatedBytes, fragment_count AS fragmentCount, resume_bytes AS resumeBytes`;

export class FsCandidates {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /** Files that the run knows already stay as they are. @returns what was added. */
  add(runId: number, files: Iterable<NewFsCandidate>): { count: number; bytes: number } {
    const insert = this.#db.prepare(
      `INSERT OR IGNORE INTO candidates
         (run_id, handle, state, tier_rank, gain_class, allocated_bytes, fragment_count)
       VALUES (?, ?, 'pending', ?, ?, ?, ?)`,
    );
    let count = 0;
    let bytes = 0;
    for (const file of files) {
      const { handle, tierRank, gainClass, allocatedBytes, fragmentCount } = file;
      const result = insert.run(runId, handle, tierRank, gainClass, allocatedBytes, fragmentCount);
      count += result.changes;
      bytes += result.changes * allocatedBytes;
    }
    return { count, bytes };
  }

  /** What runs before this one looked at is of no use any more. */
  forgetBefore(runId: number): void {
    this.#db.prepare('DELETE FROM candidates WHERE run_id < ?').run(runId);
  }

  /** Hot files first, then those that gain most; files alike as they were added. */
  pending(runId: number, limit: number): FsCandidate[] {
    const sql = `SELECT ${COLUMNS} FROM candidates WHERE run_id = ? AND state = 'pending'
      ORDER BY tier_rank, gain_class DESC, candidate_id LIMIT ?`;
    return this.#db.prepare(sql).all(runId, limit) as FsCandidate[];
  }

  hasPending(runId: number): boolean {
    const sql = "SELECT 1 FROM candidates WHERE run_id = ? AND state = 'pending' LIMIT 1";
    return this.#db.prepare(sql).get(runId) !== undefined;
  }

  /** Whether the run moved all of the file that it wanted to. */
  isDone(runId: number, handle: string): boolean {
    const sql = "SELECT 1 FROM candidates WHERE run_id = ? AND handle = ? AND state = 'done'";
    return this.#db.prepare(sql).get(runId, handle) !== undefined;
  }

  /** A piece of the file was moved; the next one begins here. */
  resumeAt(candidateId: number, resumeBytes: number): void {
    this.#db
      .prepare('UPDATE candidates SET resume_bytes = ? WHERE candidate_id = ?')
      .run(resumeBytes, candidateId);
  }

  done(candidateId: number, fragmentsAfter: number): void {
    this.#db
      .prepare("UPDATE candidates SET state = 'done', fragments_after = ? WHERE candidate_id = ?")
      .run(fragmentsAfter, candidateId);
  }

  /** Safe while: in a transaction. */
  exclude(
    runId: number,
    candidateId: number,
    outcome: RunExclusion['outcome'],
    reason: string,
  ): void {
    this.#db
      .prepare('UPDATE candidates SET state = ?, reason = ? WHERE candidate_id = ?')
      .run(outcome, reason, candidateId);
    this.count(runId, outcome, reason, 1);
  }

  count(runId: number, outcome: RunExclusion['outcome'], reason: string, count: number): void {
    this.#db
      .prepare(
        `INSERT INTO run_reasons VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET count = count + excluded.count`,
      )
      .run(runId, outcome, reason, count);
  }

  failedReasonCount(runId: number): number {
    const sql = "SELECT count(*) AS n FROM run_reasons WHERE run_id = ? AND outcome = 'failed'";
    return (this.#db.prepare(sql).get(runId) as { n: number }).n;
  }

  /** How many files a run left alone, by outcome and reason. */
  exclusions(runId: number): RunExclusion[] {
    return this.#db
      .prepare(
        `SELECT outcome, reason, count FROM run_reasons WHERE run_id = ?
         ORDER BY count DESC, reason`,
      )
      .all(runId) as RunExclusion[];
  }
}
