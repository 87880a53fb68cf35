/** Disks of a pool, and where the journal of each stands. */

import type { Tier } from '../domain/heat.js';
import type { ByteRun } from '../domain/units.js';
import { type Db, transaction } from './database.js';
import type { LedgerStore } from './ledger.js';

export type DiskKind = 'directory' | 'device';

export interface DiskRow {
  readonly diskId: number;
  readonly uuid: string;
  readonly kind: DiskKind;
  /** Absolute path of the directory that holds the backing file, or of the device when last seen. */
  readonly path: string;
  readonly tier: Tier;
  readonly capacityBytes: number;
  /** Space that only rewrites may take, so that defragmentation can always work. */
  readonly reserveBytes: number;
  readonly granularityBytes: number;
  readonly evacuating: boolean;
  /** Tells the frames of this journal from those of an older one in the same place. */
  readonly journalEpoch: number;
  /** Where in the last segment the next frame goes. */
  readonly journalTailBytes: number;
  /** The journal on the disk misses frames, because the disk was away when they were written. */
  readonly journalStale: boolean;
  readonly addedAtMs: number;
}

interface RawDisk extends Omit<DiskRow, 'evacuating' | 'journalStale'> {
  readonly evacuating: number;
  readonly journalStale: number;
}

const COLUMNS = `disk_id AS diskId, uuid, kind, path, tier, capacity_bytes AS capacityBytes,
  reserve_bytes AS reserveBytes, granularity_bytes AS granularityBytes, evacuating,
  journal_epoch AS journalEpoch, journal_tail_bytes AS journalTailBytes,
  journal_stale AS journalStale, added_at_ms AS addedAtMs`;

export class DiskStore {
  readonly #db: Db;
  readonly #ledger: LedgerStore;

  constructor(db: Db, ledger: LedgerStore) {
    this.#db = db;
    this.#ledger = ledger;
  }

  all(): DiskRow[] {
    const rows = this.#db.prepare(`SELECT ${COLUMNS} FROM disks ORDER BY disk_id`).all();
    return (rows as RawDisk[]).map(toDisk);
  }

  get(diskId: number): DiskRow | null {
    const row = this.#db.prepare(`SELECT ${COLUMNS} FROM disks WHERE disk_id = ?`).get(diskId);
    return row === undefined ? null : toDisk(row as RawDisk);
  }

  add(disk: Omit<DiskRow, 'diskId'>): number {
    return transaction(this.#db, () => {
      const diskId = this.#insert(disk);
      const atMs = disk.addedAtMs;
      this.#ledger.append({ atMs, event: 'disk-added', figures: identityOf(disk) });
      return diskId;
    });
  }

  #insert(disk: Omit<DiskRow, 'diskId'>): number {
    const result = this.#db
      .prepare(
        `INSERT INTO disks (uuid, kind, path, tier, capacity_bytes, reserve_bytes, granularity_bytes,
           evacuating, journal_epoch, journal_tail_bytes, journal_stale, added_at_ms)
         VALUES (@uuid, @kind, @path, @tier, @capacityBytes, @reserveBytes, @granularityBytes,
           @evacuating, @journalEpoch, @journalTailBytes, @journalStale, @addedAtMs)`,
      )
      .run({
        ...disk,
        evacuating: Number(disk.evacuating),
        journalStale: Number(disk.journalStale),
      });
    return Number(result.lastInsertRowid);
  }

  /**
   * Devices that have other names now. Two may have swapped theirs, and the name of one that is away
   * may be another one's. Safe while: in a transaction.
   */
  setPaths(paths: ReadonlyMap<number, string>): void {
    const update = this.#db.prepare('UPDATE disks SET path = ? WHERE disk_id = ?');
    const taken = new Set(paths.values());
    for (const { diskId, path } of this.all()) {
      if (paths.has(diskId) || taken.has(path)) update.run(`${path} (was ${diskId})`, diskId);
    }
    for (const [diskId, path] of paths) update.run(path, diskId);
  }

  setEvacuating(diskId: number, evacuating: boolean): void {
    const update = this.#db.prepare('UPDATE disks SET evacuating = ? WHERE disk_id = ?');
    transaction(this.#db, () => update.run(Number(evacuating), diskId));
  }

  setJournal(diskId: number, epoch: number, tailBytes: number): void {
    this.#db
      .prepare(
        `UPDATE disks SET journal_epoch = ?, journal_tail_bytes = ?, journal_stale = 0
         WHERE disk_id = ?`,
      )
      .run(epoch, tailBytes, diskId);
  }

  setJournalTail(diskId: number, tailBytes: number): void {
    this.#db
      .prepare('UPDATE disks SET journal_tail_bytes = ? WHERE disk_id = ?')
      .run(tailBytes, diskId);
  }

  markJournalStale(diskId: number): void {
    this.#db.prepare('UPDATE disks SET journal_stale = 1 WHERE disk_id = ?').run(diskId);
  }

  journalSegments(diskId: number): ByteRun[] {
    return this.#db
      .prepare(
        `SELECT start_bytes AS startBytes, length_bytes AS lengthBytes FROM journal_segments
         WHERE disk_id = ? ORDER BY ordinal`,
      )
      .all(diskId) as ByteRun[];
  }

  replaceJournalSegments(diskId: number, segments: readonly ByteRun[]): void {
    this.#db.prepare('DELETE FROM journal_segments WHERE disk_id = ?').run(diskId);
    const insert = this.#db.prepare('INSERT INTO journal_segments VALUES (?, ?, ?, ?)');
    for (const [ordinal, segment] of segments.entries()) {
      insert.run(diskId, ordinal, segment.startBytes, segment.lengthBytes);
    }
  }

  /** Forgets a disk that holds no fragment any more, with its space and journal. */
  remove(diskId: number): void {
    transaction(this.#db, () => {
      const disk = this.get(diskId);
      if (!disk) return;
      for (const table of ['journal_segments', 'space_runs', 'bad_replicas', 'disks']) {
        this.#db.prepare(`DELETE FROM ${table} WHERE disk_id = ?`).run(diskId);
      }
      const atMs = this.#ledger.now();
      this.#ledger.append({ atMs, event: 'disk-removed', figures: identityOf(disk) });
    });
  }
}

function identityOf({ uuid, kind, path, tier, capacityBytes }: Omit<DiskRow, 'diskId'>) {
  return { uuid, kind, disk: path, tier, capacityBytes };
}

function toDisk(row: RawDisk): DiskRow {
  return { ...row, evacuating: row.evacuating === 1, journalStale: row.journalStale === 1 };
}
