/**
 * The free-space index: every run of a disk that no extent, header or journal uses.
 *
 *   free ──reserve──▶ reserved ──commit──▶ (fragments)
 *    ▲                   │ give up             │ let go
 *    │                   ▼                     ▼
 *    └──discarded── discarding ◀──trim── pending ──reserve──▶ reserved
 *
 * It lives in SQLite, not in memory, so that several processes may allocate at once and a crash
 * leaves it as the last transaction left it. Two index look-ups find the best fit.
 */

import { InvariantError } from '../domain/errors.js';
import type { ByteRun } from '../domain/units.js';
import type { Db } from './database.js';

export type SpaceState = 'free' | 'pending' | 'discarding' | 'reserved';

export interface SpaceRun extends ByteRun {
  readonly diskId: number;
  readonly state: SpaceState;
}

export interface SpaceTotals {
  readonly freeBytes: number;
  readonly pendingBytes: number;
  readonly pendingRunCount: number;
  readonly discardingBytes: number;
  readonly reservedBytes: number;
}

/** Puts take space from the general zone only; rewrites may also take what is kept in reserve. */
export type Zone = 'general' | 'reserve';

/** The reserve is the end of each disk. */
const RESERVE_START = 'capacity_bytes - reserve_bytes';

const RUN_COLUMNS = 'start_bytes AS startBytes, length_bytes AS lengthBytes';

export class SpaceStore {
  readonly #db: Db;
  readonly #statements: ReturnType<typeof prepare>;

  constructor(db: Db) {
    this.#db = db;
    this.#statements = prepare(db);
  }

  /** @returns the smallest free or pending run that fits, or null. Reuse of pending space wins a tie. */
  bestFit(diskId: number, lengthBytes: number, zone: Zone = 'general'): SpaceRun | null {
    const { free: ofFree, pending: ofPending } = this.#statements;
    const asked = [diskId, Number(zone === 'reserve'), lengthBytes] as const;
    const free = ofFree.smallest.get(...asked) as ByteRun | undefined;
    const pending = ofPending.smallest.get(...asked) as ByteRun | undefined;
    if (pending && (!free || pending.lengthBytes <= free.lengthBytes)) {
      return { ...pending, diskId, state: 'pending' };
    }
    return free ? { ...free, diskId, state: 'free' } : null;
  }

  largest(diskId: number): SpaceRun | null {
    return this.largestRuns(diskId, 1)[0] ?? null;
  }

  /** Up to `count` free and pending runs of the general zone, the longest first. */
  largestRuns(diskId: number, count: number): SpaceRun[] {
    const of = (state: 'free' | 'pending') =>
      this.#statements[state].largest.all(diskId, count) as SpaceRun[];
    const runs = [...of('pending'), ...of('free')];
    return runs.sort((a, b) => b.lengthBytes - a.lengthBytes).slice(0, count);
  }

  /**
   * Reserves the longest runs of a disk, as `largestRuns` chose them: they are the end of the index of
   * their state, and are taken in one sweep. Safe while: in the same transaction.
   */
  reserveLargest(chosen: readonly SpaceRun[], owner: string): ByteRun[] {
    for (const state of ['free', 'pending'] as const) {
      const runs = chosen.filter((run) => run.state === state);
      const shortest = runs.at(-1);
      if (!shortest) continue;
      const { changes } = this.#statements[state].ownLargest.run({ ...shortest, owner });
      if (changes !== runs.length) throw new InvariantError('other runs were reserved than chosen');
    }
    return chosen.map(({ startBytes, lengthBytes }) => ({ startBytes, lengthBytes }));
  }

  /** Reserves the first `lengthBytes` of a free or pending run. Safe while: in a transaction. */
  reserve(run: SpaceRun, lengthBytes: number, owner: string): ByteRun {
    const { diskId, startBytes } = run;
    if (lengthBytes > run.lengthBytes) throw new InvariantError('reserved more than the run holds');
    if (lengthBytes === run.lengthBytes) {
      this.#statements.own.run(owner, diskId, startBytes);
    } else {
      this.#statements.cutFront.run(lengthBytes, lengthBytes, diskId, startBytes);
      this.#insert(diskId, startBytes, lengthBytes, 'reserved', owner);
    }
    return { startBytes, lengthBytes };
  }

  /**
   * Makes a run that nothing uses any more part of the free-space index, joined with neighbours of
   * the same state. Safe while: in a transaction, and the run is in no table.
   */
  add(diskId: number, run: ByteRun, state: 'free' | 'pending'): void {
    const reserveStartBytes = this.#statements.reserveStart.pluck().get(diskId) as number;
    const { startBytes, lengthBytes } = run;
    // Runs are never joined over the start of the reserve.
    const generalBytes = Math.min(Math.max(reserveStartBytes - startBytes, 0), lengthBytes);
    const reserveBytes = lengthBytes - generalBytes;
    if (generalBytes > 0)
      this.#addJoined(diskId, { startBytes, lengthBytes: generalBytes }, state, 0);
    if (reserveBytes === 0) return;
    const inReserve = { startBytes: startBytes + generalBytes, lengthBytes: reserveBytes };
    this.#addJoined(diskId, inReserve, state, 1);
  }

  #addJoined(diskId: number, run: ByteRun, state: 'free' | 'pending', inReserve: number): void {
    let { startBytes, lengthBytes } = run;
    const { before, at } = this.#statements;
    const endBytes = startBytes + lengthBytes;
    const left = before.get(diskId, startBytes, state, inReserve) as ByteRun | undefined;
    const right = at.get(diskId, endBytes, state, inReserve) as ByteRun | undefined;
    if (right) {
      this.#statements.delete.run(diskId, right.startBytes);
      lengthBytes += right.lengthBytes;
    }
    if (left && left.startBytes + left.lengthBytes === startBytes) {
      this.#statements.delete.run(diskId, left.startBytes);
      startBytes = left.startBytes;
      lengthBytes += left.lengthBytes;
    }
    this.#insert(diskId, startBytes, lengthBytes, state, null);
  }

  /**
   * Reserves whatever is free or pending inside a window, so that nothing is allocated from it.
   * Safe while: in a transaction.
   */
  reserveInside(diskId: number, window: ByteRun, owner: string): void {
    const { startBytes } = window;
    const endBytes = startBytes + window.lengthBytes;
    const { overlapping } = this.#statements;
    for (const row of overlapping.all({ diskId, startBytes, endBytes }) as SpaceRun[]) {
      const rowEndBytes = row.startBytes + row.lengthBytes;
      const from = Math.max(row.startBytes, startBytes);
      const to = Math.min(rowEndBytes, endBytes);
      this.remove(diskId, row.startBytes);
      this.#insert(diskId, from, to - from, 'reserved', owner);
      if (from > row.startBytes) {
        this.#insert(diskId, row.startBytes, from - row.startBytes, row.state, null);
      }
      if (rowEndBytes > to) this.#insert(diskId, to, rowEndBytes - to, row.state, null);
    }
  }

  /** Takes what an owner holds out of the index; the caller puts each byte somewhere else. */
  takeReserved(owner: string): SpaceRun[] {
    const runs = this.#statements.ofOwner.all(owner) as SpaceRun[];
    this.#statements.deleteOwner.run(owner);
    return runs;
  }

  /** Whoever has something reserved, or is discarding it. */
  reservationOwners(): string[] {
    return this.#statements.owners.pluck().all() as string[];
  }

  #insert(
    diskId: number,
    startBytes: number,
    lengthBytes: number,
    state: SpaceState,
    owner: string | null,
  ): void {
    this.#statements.insert.run({ diskId, startBytes, lengthBytes, state, owner });
  }

  remove(diskId: number, startBytes: number): void {
    this.#statements.delete.run(diskId, startBytes);
  }

  /** Free and pending bytes that new data may take: all but what is kept in reserve. */
  usableBytes(diskId: number): number {
    return this.#statements.usable.pluck().get({ diskId }) as number;
  }

  totals(diskId: number): SpaceTotals {
    const rows = this.#statements.totals.all({ diskId }) as {
      state: SpaceState;
      bytes: number | null;
      runCount: number;
    }[];
    const of = (state: SpaceState) => rows.find((row) => row.state === state);
    return {
      freeBytes: of('free')?.bytes ?? 0,
      pendingBytes: of('pending')?.bytes ?? 0,
      pendingRunCount: of('pending')?.runCount ?? 0,
      discardingBytes: of('discarding')?.bytes ?? 0,
      reservedBytes: of('reserved')?.bytes ?? 0,
    };
  }

  /** All runs of a disk in order, without holding them in memory. */
  iterate(diskId: number): IterableIterator<SpaceRun> {
    return this.#db
      .prepare(
        `SELECT disk_id AS diskId, ${RUN_COLUMNS}, state FROM space_runs
         WHERE disk_id = ? ORDER BY start_bytes`,
      )
      .iterate(diskId) as IterableIterator<SpaceRun>;
  }
}

/** The state stands in the text: an index of one state serves no statement that is told it later. */
function prepareByLength(db: Db, state: 'free' | 'pending') {
  return {
    smallest: db.prepare(
      `SELECT ${RUN_COLUMNS} FROM space_runs
       WHERE disk_id = ? AND in_reserve = ? AND state = '${state}' AND length_bytes >= ?
       ORDER BY length_bytes, start_bytes LIMIT 1`,
    ),
    largest: db.prepare(
      `SELECT disk_id AS diskId, ${RUN_COLUMNS}, state FROM space_runs
       WHERE disk_id = ? AND in_reserve = 0 AND state = '${state}'
       ORDER BY length_bytes DESC, start_bytes DESC LIMIT ?`,
    ),
    // Or rollback: SQLite would copy each page first, so that it can undo the statement alone.
    ownLargest: db.prepare(
      `UPDATE OR ROLLBACK space_runs SET state = 'reserved', owner = @owner, failure_count = 0, not_before_ms = 0
       WHERE disk_id = @diskId AND in_reserve = 0 AND state = '${state}'
         AND (length_bytes, start_bytes) >= (@lengthBytes, @startBytes)`,
    ),
  };
}

function prepare(db: Db) {
  return {
    free: prepareByLength(db, 'free'),
    pending: prepareByLength(db, 'pending'),
    own: db.prepare(
      `UPDATE space_runs SET state = 'reserved', owner = ?, failure_count = 0, not_before_ms = 0
       WHERE disk_id = ? AND start_bytes = ?`,
    ),
    cutFront: db.prepare(
      `UPDATE space_runs SET start_bytes = start_bytes + ?, length_bytes = length_bytes - ?
       WHERE disk_id = ? AND start_bytes = ?`,
    ),
    insert: db.prepare(
      `INSERT INTO space_runs (disk_id, start_bytes, length_bytes, state, owner, in_reserve)
       SELECT disk_id, @startBytes, @lengthBytes, @state, @owner, @startBytes >= ${RESERVE_START}
       FROM disks WHERE disk_id = @diskId`,
    ),
    reserveStart: db.prepare(`SELECT ${RESERVE_START} FROM disks WHERE disk_id = ?`),
    before: db.prepare(
      `SELECT ${RUN_COLUMNS} FROM (SELECT * FROM space_runs WHERE disk_id = ? AND start_bytes < ?
         ORDER BY start_bytes DESC LIMIT 1)
       WHERE state = ? AND in_reserve = ? AND failure_count = 0`,
    ),
    at: db.prepare(
      `SELECT ${RUN_COLUMNS} FROM space_runs WHERE disk_id = ? AND start_bytes = ? AND state = ?
         AND in_reserve = ? AND failure_count = 0`,
    ),
    overlapping: db.prepare(
      `SELECT disk_id AS diskId, ${RUN_COLUMNS}, state FROM space_runs
       WHERE disk_id = @diskId AND state IN ('free', 'pending') AND start_bytes < @endBytes
         AND start_bytes + length_bytes > @startBytes AND start_bytes >= COALESCE(
           (SELECT MAX(start_bytes) FROM space_runs
            WHERE disk_id = @diskId AND start_bytes <= @startBytes), 0)`,
    ),
    delete: db.prepare('DELETE FROM space_runs WHERE disk_id = ? AND start_bytes = ?'),
    ofOwner: db.prepare(
      `SELECT disk_id AS diskId, ${RUN_COLUMNS}, state FROM space_runs WHERE owner = ?
       ORDER BY disk_id, start_bytes`,
    ),
    deleteOwner: db.prepare('DELETE FROM space_runs WHERE owner = ?'),
    owners: db.prepare('SELECT DISTINCT owner FROM space_runs WHERE owner IS NOT NULL'),
    usable: db.prepare(
      `SELECT COALESCE(SUM(length_bytes), 0) FROM (
         SELECT length_bytes FROM space_runs
         WHERE disk_id = @diskId AND in_reserve = 0 AND state = 'free'
         UNION ALL
         SELECT length_bytes FROM space_runs
         WHERE disk_id = @diskId AND in_reserve = 0 AND state = 'pending')`,
    ),
    totals: db.prepare(
      `SELECT 'free' AS state, SUM(length_bytes) AS bytes, COUNT(*) AS runCount FROM space_runs
       WHERE disk_id = @diskId AND state = 'free'
       UNION ALL
       SELECT 'pending', SUM(length_bytes), COUNT(*) FROM space_runs
       WHERE disk_id = @diskId AND state = 'pending'
       UNION ALL
       SELECT state, SUM(length_bytes), COUNT(*) FROM space_runs
       WHERE disk_id = @diskId AND owner IS NOT NULL GROUP BY state`,
    ),
  };
}
