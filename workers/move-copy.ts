/** What is read of a file before it moves: for its checksum, and on XFS into its donor. */

import { windowsOf } from '../src/domain/move-plan.js';
import type { MoveMethod } from '../src/domain/move-tasks.js';
import { type ByteRun, MIB } from '../src/domain/units.js';
import { writeFully } from '../src/kernel/file-io.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { adviseRandom, dropPageCache, readAhead } from '../src/kernel/page-cache.js';
import { takeTurn } from '../src/kernel/turns.js';
import { startWriteBack } from '../src/kernel/write-back.js';
import { type ContentReader, openFromDisk } from './content-reader.js';
import type { Candidate } from './move-candidate.js';
import type { ContentSource } from './move-content.js';
import type { Pace } from './move-pace.js';

/** Of a smaller piece the page cache has little to ask for at once. */
const AHEAD_BYTES_MIN = 4 * MIB;

interface PieceReader {
  readonly task: { readonly verify: boolean };
  readonly mount: OpenFile;
  readonly method: MoveMethod;
  readonly pace: Pace;
}

/** ext4: through the page cache, where MOVE_EXT finds it. */
export function cachedSource({ file, piece, written }: Candidate): ContentSource {
  cacheSinglePages(file, piece);
  return { file, ranges: written };
}

/** Where the file sits in large folios, each page would take 70 times as long to move. */
function cacheSinglePages(file: OpenFile, piece: ByteRun): void {
  dropPageCache(file, piece);
  adviseRandom(file);
}

/** Btrfs: through the page cache, where its defragmentation finds it. */
export function bufferedSource({ file, written }: Candidate): ContentSource {
  return { file, ranges: written };
}

/**
 * Where nothing is compared the page cache is only asked for a large piece: it is not copied, and comes
 * while the donor is made. One after the other, so that the first can be written while the next is read.
 *
 * @returns whether it was asked for all of it. Small ones are read faster by several threads.
 */
export function readPieceAhead(reader: PieceReader, candidate: Candidate): boolean {
  const { task, mount, method, pace } = reader;
  const { file, piece, written } = candidate;
  const isWorthIt = !task.verify && pace.isAtFullSpeed && piece.lengthBytes >= AHEAD_BYTES_MIN;
  if (!isWorthIt) return false;
  if (method === 'move-extents') cacheSinglePages(file, piece);
  using _turn = takeTurn(mount, 'read');
  for (const run of written.flatMap((range) => windowsOf(range, pace.windowBytes))) {
    if (pace.isStopped || !pace.isAtFullSpeed) return false;
    readAhead(file, run);
  }
  return true;
}

/**
 * ext4: what is read side by side is moved side by side afterwards, while the disk waits. So groups with a
 * large piece are read one after the other: one is moved while the next is read.
 */
export function takeTurnToRead(
  { mount, method, pace }: PieceReader,
  reserved: readonly { readonly candidate: Candidate; readonly isReadAhead: boolean }[],
): Disposable | null {
  const isLarge = reserved.some(
    ({ candidate, isReadAhead }) => !isReadAhead && candidate.piece.lengthBytes >= AHEAD_BYTES_MIN,
  );
  return isLarge && method === 'move-extents' && pace.isAtFullSpeed
    ? takeTurn(mount, 'read')
    : null;
}

export interface CopySource extends ContentSource {
  readonly reader: ContentReader;
}

/** XFS: past the page cache, into the donor; holes and unwritten ranges stay what they are. */
export function copySource(mount: OpenFile, from: Candidate, donor: OpenFile): CopySource {
  const reader = openFromDisk(mount, from.request.handle);
  const sink = sinkInto(donor, from.piece);
  return { reader, file: reader.file, ranges: from.written, sink };
}

/** The same through the page cache, where FIDEDUPERANGE finds what it compares: file and donor. */
export function cachedCopySource(from: Candidate, donor: OpenFile): ContentSource {
  return { ...bufferedSource(from), sink: sinkInto(donor, from.piece) };
}

/** Written through the cache, a piece at a time, so that the disk gets many requests at once. */
function sinkInto(donor: OpenFile, { startBytes }: ByteRun): NonNullable<ContentSource['sink']> {
  return (chunk, atBytes) => {
    writeFully(donor, chunk, atBytes - startBytes);
    startWriteBack(donor);
  };
}

export function closeReader({ reader }: CopySource): void {
  reader[Symbol.dispose]();
}
