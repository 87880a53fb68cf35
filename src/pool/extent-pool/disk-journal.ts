/**
 * Writes the journal of each disk, from which `recover` rebuilds a lost `pool.sqlite`.
 *
 * A frame is written and made durable inside the SQLite transaction that it belongs to, before the
 * commit. So every committed change is on the disks. The tail is in SQLite too: a transaction that
 * was rolled back also takes its tail back, and the next frame overwrites what it left.
 */

import { InvariantError, MaintenanceError } from '../../domain/errors.js';
import { type ByteRun, roundUp } from '../../domain/units.js';
import { readUpTo, syncData, writeFully } from '../../kernel/file-io.js';
import type { OpenFile } from '../../kernel/kernel-call.js';
import type { DiskRow } from '../../store/disks.js';
import type { PoolStore } from '../../store/pool-store.js';
import { Allocator } from './allocator.js';
import {
  decodeFrame,
  encodeFrame,
  FRAME_PREFIX_BYTES,
  type JournalRecord,
  LINK_FRAME_BYTES,
} from './journal-frames.js';
import { BLOCK_BYTES, JOURNAL_SEGMENT_BYTES } from './layout.js';

/** Reserves and releases within one transaction; no other process ever sees it. */
const SEGMENT_OWNER = 'journal';

export class JournalWriter {
  readonly #store: PoolStore;
  readonly #allocator: Allocator;

  constructor(store: PoolStore) {
    this.#store = store;
    this.#allocator = new Allocator(store.space);
  }

  /**
   * Appends one frame and makes it durable. Safe while: in the transaction that the records describe.
   *
   * @throws MaintenanceError when the disk refuses; roll the transaction back then.
   */
  append(diskId: number, file: OpenFile, records: readonly JournalRecord[]): void {
    const disk = this.#disk(diskId);
    const tailBytes = this.#write(disk, file, records, this.#store.disks.journalSegments(diskId));
    syncData(file);
    this.#store.disks.setJournalTail(diskId, tailBytes);
  }

  /**
   * Takes space for a new, empty journal. Safe while: in a transaction.
   *
   * @returns its first segment; the caller records it in the superblock.
   */
  start(diskId: number, epoch: number): ByteRun {
    const segment = this.#allocateSegment(this.#disk(diskId), JOURNAL_SEGMENT_BYTES);
    this.#store.disks.replaceJournalSegments(diskId, [segment]);
    this.#store.disks.setJournal(diskId, epoch, 0);
    return segment;
  }

  /** Appends without making it durable, in frames of bounded size; the caller syncs once. */
  appendAll(diskId: number, file: OpenFile, records: Iterable<JournalRecord>): void {
    let batch: JournalRecord[] = [];
    const flush = () => {
      const disk = this.#disk(diskId);
      const segments = this.#store.disks.journalSegments(diskId);
      this.#store.disks.setJournalTail(diskId, this.#write(disk, file, batch, segments));
      batch = [];
    };
    for (const record of records) if (batch.push(record) >= 1000) flush();
    if (batch.length > 0) flush();
    syncData(file);
  }

  /**
   * Ends the journal at its tail, where a process that died before its commit may have left a frame:
   * `recover` would take it for true long after its space was given to something else.
   */
  dropUncommitted(diskId: number, file: OpenFile): void {
    if (this.#tailIsBlank(this.#disk(diskId), file)) return;
    this.#store.transaction(() => {
      // Read again: it may have been the frame of a live process, committed by now.
      const disk = this.#disk(diskId);
      if (this.#tailIsBlank(disk, file)) return;
      writeFully(file, Buffer.alloc(FRAME_PREFIX_BYTES), this.#tail(disk));
      syncData(file);
    });
  }

  #tailIsBlank(disk: DiskRow, file: OpenFile): boolean {
    const prefix = Buffer.alloc(FRAME_PREFIX_BYTES);
    readUpTo(file, prefix, this.#tail(disk));
    return prefix.every((byte) => byte === 0);
  }

  #tail(disk: DiskRow): number {
    const segment = this.#store.disks.journalSegments(disk.diskId).at(-1);
    if (!segment) throw new InvariantError(`disk ${disk.path} has no journal`);
    return segment.startBytes + disk.journalTailBytes;
  }

  #disk(diskId: number): DiskRow {
    const disk = this.#store.disks.get(diskId);
    if (!disk) throw new InvariantError(`journal of unknown disk ${diskId}`);
    return disk;
  }

  #write(
    disk: DiskRow,
    file: OpenFile,
    records: readonly JournalRecord[],
    segments: readonly ByteRun[],
  ): number {
    const segment = segments.at(-1);
    if (!segment) throw new InvariantError(`disk ${disk.path} has no journal`);
    const atBytes = segment.startBytes + disk.journalTailBytes;
    const frame = encodeFrame(records, disk.journalEpoch, atBytes);
    if (disk.journalTailBytes + frame.length + LINK_FRAME_BYTES <= segment.lengthBytes) {
      this.#put(disk, file, frame, atBytes);
      return disk.journalTailBytes + frame.length;
    }
    const neededBytes = frame.length + LINK_FRAME_BYTES;
    const next = this.#allocateSegment(disk, neededBytes);
    this.#store.disks.replaceJournalSegments(disk.diskId, [...segments, next]);
    // The frame first, the link to it last: a reader never follows a link to nothing.
    const moved = encodeFrame(records, disk.journalEpoch, next.startBytes);
    this.#put(disk, file, moved, next.startBytes);
    const link = ['next-segment', next.startBytes, next.lengthBytes] as const;
    this.#put(disk, file, encodeFrame([link], disk.journalEpoch, atBytes), atBytes);
    return frame.length;
  }

  /** Zeros behind the frame end the journal, whatever an older one left there. */
  #put({ diskId }: DiskRow, file: OpenFile, frame: Buffer, atBytes: number): void {
    const bytes = Buffer.concat([frame, Buffer.alloc(FRAME_PREFIX_BYTES)]);
    writeFully(file, bytes, atBytes);
    this.#store.counters.count(diskId, { writtenBytes: bytes.length });
  }

  /** @returns a run of the usual size, or on a scattered disk the largest that holds `neededBytes`. */
  #allocateSegment(disk: DiskRow, neededBytes: number): ByteRun {
    const { diskId } = disk;
    const usualBytes = Math.max(JOURNAL_SEGMENT_BYTES, roundUp(neededBytes, BLOCK_BYTES));
    const largestBytes = this.#store.space.largest(diskId)?.lengthBytes ?? 0;
    const lengthBytes = Math.min(usualBytes, largestBytes);
    const general =
      lengthBytes >= neededBytes
        ? this.#allocator.reserveContiguous(diskId, lengthBytes, SEGMENT_OWNER)
        : null;
    // Last of all from the reserve: a full disk must still be able to delete.
    const run =
      general ??
      this.#allocator.reserveContiguous(
        diskId,
        roundUp(neededBytes, BLOCK_BYTES),
        SEGMENT_OWNER,
        'reserve',
      );
    if (!run) {
      throw new MaintenanceError('ERR_NO_SPACE', `disk ${disk.path} has no room for its journal`, {
        nextStep: 'Trim the pool (`dynamicfs trim now`), delete objects or add a disk.',
      });
    }
    this.#store.space.takeReserved(SEGMENT_OWNER);
    return run;
  }
}

/**
 * Reads a journal from its first segment to the first frame that is not there.
 *
 * @returns at last, where on the disk that frame would be.
 */
export function* readJournal(
  file: OpenFile,
  first: ByteRun,
  epoch: number,
): Generator<{ record: JournalRecord; segment: ByteRun }, number> {
  let segment: ByteRun = first;
  for (;;) {
    const bytes: Buffer = Buffer.alloc(segment.lengthBytes);
    readUpTo(file, bytes, segment.startBytes);
    let next: ByteRun | null = null;
    let offsetBytes = 0;
    for (;;) {
      const frame = decodeFrame(bytes, offsetBytes, epoch, segment.startBytes);
      if (!frame) break;
      offsetBytes += frame.frameBytes;
      for (const record of frame.records) {
        if (record[0] === 'next-segment') next = { startBytes: record[1], lengthBytes: record[2] };
        else yield { record, segment };
      }
    }
    if (!next) return segment.startBytes + offsetBytes;
    segment = next;
  }
}
