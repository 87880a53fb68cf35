/** What is remembered of each trimmed window of a mounted file system, so that it may be left out. */

import type { RememberedWindow } from '../domain/trim-windows.js';
import type { Db } from './database.js';

export class TrimWindowStore {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  all(): RememberedWindow[] {
    const rows = this.#db.prepare('SELECT record FROM trim_windows ORDER BY start_bytes').all() as {
      record: string;
    }[];
    return rows.map(({ record }) => JSON.parse(record));
  }

  /** Replaces what was known of a window that begins there. */
  remember(window: RememberedWindow): void {
    this.#db
      .prepare('INSERT OR REPLACE INTO trim_windows VALUES (?, ?)')
      .run(window.startBytes, JSON.stringify(window));
  }

  /** What is not known of it any more is trimmed again. */
  forget(startBytes: number): void {
    this.#db.prepare('DELETE FROM trim_windows WHERE start_bytes = ?').run(startBytes);
  }
}
