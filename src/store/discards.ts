/**
 * Pending discards on their way to free space, by the discard protocol.
 *
 * Rows are `pending`, then `discarding` for the length of one batch, then `free`. Nothing allocates
 * from `discarding`, so a discard under way can never hit new data.
 */

import { discardRetryDelayMs } from '../domain/trim-schedule.js';
import type { ByteRun } from '../domain/units.js';
import { type Db, transaction } from './database.js';
import type { SpaceStore } from './space.js';

interface PendingRow extends ByteRun {
  readonly failureCount: number;
  readonly owner: string | null;
}

export class DiscardStore {
  readonly #db: Db;
  readonly #space: SpaceStore;

  constructor(db: Db, space: SpaceStore) {
    this.#db = db;
    this.#space = space;
  }

  /**
   * Marks up to `bytesMax` of a disk's pending space, in disk order from `fromBytes`, `discarding`.
   *
   * @param owner of the batch, by which `SpaceStore.takeReserved` finds what is left of it.
   * @returns the marked runs, sorted; empty when nothing is due.
   */
  mark(
    diskId: number,
    fromBytes: number,
    bytesMax: number,
    nowMs: number,
    owner: string,
  ): ByteRun[] {
    return transaction(this.#db, () => {
      const marked: ByteRun[] = [];
      let leftBytes = bytesMax;
      for (const row of this.#due(diskId, fromBytes, nowMs, bytesMax)) {
        const lengthBytes = Math.min(row.lengthBytes, leftBytes);
        this.#space.remove(diskId, row.startBytes);
        const taken = { startBytes: row.startBytes, lengthBytes };
        this.#insert(diskId, taken, 'discarding', { ...row, owner });
        const restBytes = row.lengthBytes - lengthBytes;
        if (restBytes > 0) {
          const rest = { startBytes: row.startBytes + lengthBytes, lengthBytes: restBytes };
          this.#insert(diskId, rest, 'pending', { ...row, owner: null });
        }
        marked.push({ startBytes: row.startBytes, lengthBytes });
        leftBytes -= lengthBytes;
        if (leftBytes <= 0) break;
      }
      return marked;
    });
  }

  /** Pending runs that a trim would take now, in disk order. */
  due(diskId: number, nowMs: number): ByteRun[] {
    return this.#due(diskId, 0, nowMs, Number.MAX_SAFE_INTEGER);
  }

  /**
   * As `due`, summed up.
   *
   * @param granularityBytes counts whole granules of this size only, as a trim with it asks for them.
   */
  dueTotals(
    diskId: number,
    nowMs: number,
    granularityBytes = 1,
  ): { bytes: number; runCount: number } {
    return this.#db
      .prepare(
        `SELECT COALESCE(SUM(bytes), 0) AS bytes, COUNT(*) AS runCount FROM (
           SELECT (start_bytes + length_bytes) / @granule * @granule
             - (start_bytes + @granule - 1) / @granule * @granule AS bytes FROM space_runs
           WHERE disk_id = @diskId AND state = 'pending' AND not_before_ms <= @nowMs)
         WHERE bytes > 0`,
      )
      .get({ diskId, nowMs, granule: BigInt(granularityBytes) }) as {
      bytes: number;
      runCount: number;
    };
  }

  /** Of a disk: runs whose discard failed before, and which wait to be tried again. */
  failed(diskId: number): { runCount: number; bytes: number } {
    return this.#db
      .prepare(
        `SELECT COUNT(*) AS runCount, COALESCE(SUM(length_bytes), 0) AS bytes FROM space_runs
         WHERE disk_id = ? AND failure_count > 0`,
      )
      .get(diskId) as { runCount: number; bytes: number };
  }

  /** Every byte of `range` was discarded (or cannot be): it is free. Safe while: in a transaction. */
  settleFree(diskId: number, range: ByteRun): void {
    for (const run of this.#cutDiscarding(diskId, range)) this.#space.add(diskId, run, 'free');
  }

  /** The discard of `range` failed: it stays pending and is not tried again for a while. */
  settleFailed(diskId: number, range: ByteRun, nowMs: number): void {
    for (const run of this.#cutDiscarding(diskId, range)) {
      const failureCount = run.failureCount + 1;
      const notBeforeMs = nowMs + discardRetryDelayMs(failureCount);
      this.#insert(diskId, run, 'pending', { failureCount, notBeforeMs, owner: null });
    }
  }

  #due(diskId: number, fromBytes: number, nowMs: number, bytesMax: number): PendingRow[] {
    const rows: PendingRow[] = [];
    let bytes = 0;
    const cursor = this.#db
      .prepare(
        `SELECT start_bytes AS startBytes, length_bytes AS lengthBytes,
           failure_count AS failureCount, owner FROM space_runs
         WHERE disk_id = ? AND start_bytes >= ? AND state = 'pending' AND not_before_ms <= ?
         ORDER BY start_bytes`,
      )
      .iterate(diskId, fromBytes, nowMs) as IterableIterator<PendingRow>;
    for (const row of cursor) {
      rows.push(row);
      bytes += row.lengthBytes;
      if (bytes >= bytesMax) break;
    }
    return rows;
  }

  /** Takes the parts of `discarding` rows inside `range` out of the index; the rest stays. */
  #cutDiscarding(diskId: number, range: ByteRun): PendingRow[] {
    const endBytes = range.startBytes + range.lengthBytes;
    const rows = this.#db
      .prepare(
        `SELECT start_bytes AS startBytes, length_bytes AS lengthBytes,
           failure_count AS failureCount, owner FROM space_runs
         WHERE disk_id = @diskId AND state = 'discarding' AND start_bytes < @endBytes
           AND start_bytes + length_bytes > @startBytes AND start_bytes >= COALESCE(
             (SELECT MAX(start_bytes) FROM space_runs
              WHERE disk_id = @diskId AND start_bytes <= @startBytes), 0)`,
      )
      .all({ diskId, endBytes, startBytes: range.startBytes }) as PendingRow[];
    return rows.map((row) => {
      const rowEndBytes = row.startBytes + row.lengthBytes;
      const cutStart = Math.max(row.startBytes, range.startBytes);
      const cutEnd = Math.min(rowEndBytes, endBytes);
      this.#space.remove(diskId, row.startBytes);
      for (const [from, to] of [
        [row.startBytes, cutStart],
        [cutEnd, rowEndBytes],
      ] as const) {
        const rest = { startBytes: from, lengthBytes: to - from };
        if (to > from) this.#insert(diskId, rest, 'discarding', row);
      }
      return { ...row, startBytes: cutStart, lengthBytes: cutEnd - cutStart };
    });
  }

  #insert(
    diskId: number,
    run: ByteRun,
    state: 'pending' | 'discarding',
    history: Pick<PendingRow, 'failureCount' | 'owner'> & { readonly notBeforeMs?: number },
  ): void {
    this.#db
      .prepare(
        `INSERT INTO space_runs (disk_id, start_bytes, length_bytes, state, failure_count,
           not_before_ms, owner, in_reserve)
         SELECT disk_id, @startBytes, @lengthBytes, @state, @failureCount, @notBeforeMs, @owner,
           @startBytes >= capacity_bytes - reserve_bytes
         FROM disks WHERE disk_id = @diskId`,
      )
      .run({
        diskId,
        state,
        startBytes: run.startBytes,
        lengthBytes: run.lengthBytes,
        failureCount: history.failureCount,
        notBeforeMs: history.notBeforeMs ?? 0,
        owner: history.owner,
      });
  }
}
