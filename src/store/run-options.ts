/** What runs on mounted file systems were asked for, and what their scans found. */

import { DEFAULT_FS_RUN_OPTIONS, type FsRunOptions, type FsRunScan } from '../domain/fs-runs.js';
import type { Db } from './database.js';

export class RunOptionStore {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  set(runId: number, options: FsRunOptions): void {
    this.#db
      .prepare(
        `INSERT INTO run_options (run_id, options) VALUES (?, ?)
         ON CONFLICT (run_id) DO UPDATE SET options = excluded.options`,
      )
      .run(runId, JSON.stringify(options));
  }

  get(runId: number): FsRunOptions {
    const row = this.#row(runId);
    return row ? JSON.parse(row.options) : DEFAULT_FS_RUN_OPTIONS;
  }

  /** @returns null before the run has scanned. */
  scan(runId: number): FsRunScan | null {
    const text = this.#row(runId)?.scan;
    return text ? JSON.parse(text) : null;
  }

  setScan(runId: number, scan: FsRunScan): void {
    this.#db
      .prepare(
        `INSERT INTO run_options VALUES (?, ?, ?)
         ON CONFLICT (run_id) DO UPDATE SET scan = excluded.scan`,
      )
      .run(runId, JSON.stringify(DEFAULT_FS_RUN_OPTIONS), JSON.stringify(scan));
  }

  #row(runId: number): { options: string; scan: string | null } | undefined {
    const row = this.#db
      .prepare('SELECT options, scan FROM run_options WHERE run_id = ?')
      .get(runId);
    return row as { options: string; scan: string | null } | undefined;
  }
}
