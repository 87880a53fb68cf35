/**
 * What this pool did to each of its disks, by its own count: what it wrote, and the trims that it issued.
 *
 * The kernel's counters belong to a device's name and begin again with the machine; these belong to the
 * disk. They are noted in memory, and the next transaction of the store takes them along: they cost no
 * transaction of their own, and one that is rolled back loses none of them.
 */

import { InvariantError } from '../domain/errors.js';
import type { Db } from './database.js';

export interface DiskCounts {
  /** Content in whole blocks, journal, superblocks, zeros of an erased directory; what was accepted. */
  readonly writtenBytes: number;
  /** Discards of a device, holes punched in a backing file. */
  readonly trimCalls: number;
  readonly trimBytes: number;
  /** Of these, the ones that failed. */
  readonly failedTrimCalls: number;
  readonly failedTrimBytes: number;
}

export interface StoredDiskCounts extends DiskCounts {
  /** When the disk was added, or the pool brought to the version that counts. */
  readonly sinceMs: number;
}

export const DISK_COUNTER_STEP = `
CREATE TABLE disk_counters (
  disk_id INTEGER PRIMARY KEY REFERENCES disks ON DELETE CASCADE,
  since_ms INTEGER NOT NULL,
  written_bytes INTEGER NOT NULL DEFAULT 0,
  trim_calls INTEGER NOT NULL DEFAULT 0,
  trim_bytes INTEGER NOT NULL DEFAULT 0,
  failed_trim_calls INTEGER NOT NULL DEFAULT 0,
  failed_trim_bytes INTEGER NOT NULL DEFAULT 0
);
INSERT INTO disk_counters (disk_id, since_ms) SELECT disk_id, unixepoch() * 1000 FROM disks;
`;

const NOTHING: DiskCounts = {
  writtenBytes: 0,
  trimCalls: 0,
  trimBytes: 0,
  failedTrimCalls: 0,
  failedTrimBytes: 0,
};

export class DiskCounterStore {
  readonly #noted = new Map<number, DiskCounts>();
  readonly #statements: ReturnType<typeof prepare>;

  constructor(db: Db) {
    this.#statements = prepare(db);
  }

  /** In memory until the next transaction of the store. */
  count(diskId: number, more: Partial<DiskCounts>): void {
    const before = this.#noted.get(diskId) ?? NOTHING;
    const sum = (name: keyof DiskCounts) => before[name] + (more[name] ?? 0);
    this.#noted.set(diskId, {
      writtenBytes: sum('writtenBytes'),
      trimCalls: sum('trimCalls'),
      trimBytes: sum('trimBytes'),
      failedTrimCalls: sum('failedTrimCalls'),
      failedTrimBytes: sum('failedTrimBytes'),
    });
  }

  /** Safe while: in a transaction; `forget` when it was committed. */
  save(): void {
    for (const [diskId, counts] of this.#noted) this.#statements.add.run({ diskId, ...counts });
  }

  forget(): void {
    this.#noted.clear();
  }

  /** What was saved. @throws InvariantError when the disk is no member. */
  ofDisk(diskId: number): StoredDiskCounts {
    const counts = this.#statements.get.get(diskId) as StoredDiskCounts | undefined;
    if (!counts) throw new InvariantError(`counts of unknown disk ${diskId}`);
    return counts;
  }
}

function prepare(db: Db) {
  return {
    // Not for a disk that was removed meanwhile.
    add: db.prepare(
      `INSERT INTO disk_counters SELECT disk_id, added_at_ms, @writtenBytes, @trimCalls, @trimBytes,
         @failedTrimCalls, @failedTrimBytes FROM disks WHERE disk_id = @diskId
       ON CONFLICT (disk_id) DO UPDATE SET
         written_bytes = written_bytes + excluded.written_bytes,
         trim_calls = trim_calls + excluded.trim_calls,
         trim_bytes = trim_bytes + excluded.trim_bytes,
         failed_trim_calls = failed_trim_calls + excluded.failed_trim_calls,
         failed_trim_bytes = failed_trim_bytes + excluded.failed_trim_bytes`,
    ),
    get: db.prepare(
      `SELECT COALESCE(since_ms, added_at_ms) AS sinceMs,
         COALESCE(written_bytes, 0) AS writtenBytes, COALESCE(trim_calls, 0) AS trimCalls,
         COALESCE(trim_bytes, 0) AS trimBytes, COALESCE(failed_trim_calls, 0) AS failedTrimCalls,
         COALESCE(failed_trim_bytes, 0) AS failedTrimBytes
       FROM disks LEFT JOIN disk_counters USING (disk_id) WHERE disk_id = ?`,
    ),
  };
}
