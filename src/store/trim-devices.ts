/** What each trim of a mounted file system was seen to do with its devices. */

import type { DeviceReceipt } from '../domain/trim-tasks.js';
import type { Db } from './database.js';

/** Of one device, over all windows of a run. */
export interface RunDevice extends Omit<DeviceReceipt, 'name'> {
  readonly path: string;
}

export class TrimDeviceStore {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /** The run is for one device only. */
  limitTo(runId: number, path: string): void {
    this.#db
      .prepare('INSERT INTO trim_devices (run_id, path, is_only) VALUES (?, ?, 1)')
      .run(runId, path);
  }

  /** @returns the path of the one device that a run is for; null for all. */
  only(runId: number): string | null {
    const row = this.#db
      .prepare('SELECT path FROM trim_devices WHERE run_id = ? AND is_only = 1')
      .get(runId) as { path: string } | undefined;
    return row?.path ?? null;
  }

  /** Adds what one window did. A device that took no discard once takes none. */
  add(runId: number, { path, discardedBytes, confirmedBytes, takesDiscards }: RunDevice): void {
    this.#db
      .prepare(
        `INSERT INTO trim_devices (run_id, path, discarded_bytes, confirmed_bytes, takes_discards)
         VALUES (?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET
           discarded_bytes = discarded_bytes + excluded.discarded_bytes,
           confirmed_bytes = coalesce(confirmed_bytes + excluded.confirmed_bytes,
             confirmed_bytes, excluded.confirmed_bytes),
           takes_discards = min(takes_discards, excluded.takes_discards)`,
      )
      .run(runId, path, discardedBytes, confirmedBytes, takesDiscards ? 1 : 0);
  }

  of(runId: number): RunDevice[] {
    const rows = this.#db
      .prepare(
        `SELECT path, discarded_bytes AS discardedBytes, confirmed_bytes AS confirmedBytes,
           takes_discards AS takesDiscards
         FROM trim_devices WHERE run_id = ? ORDER BY path`,
      )
      .all(runId) as (Omit<RunDevice, 'takesDiscards'> & { takesDiscards: number })[];
    return rows.map((row) => ({ ...row, takesDiscards: row.takesDiscards === 1 }));
  }
}
