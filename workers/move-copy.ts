/** What is read of a file before it moves: for its checksum, and on XFS into its donor. */

import { closeSync } from 'node:fs';
import { cutAt, rangesOf, windowsOf } from '../src/domain/move-plan.js';
import type { FileMark } from '../src/domain/move-tasks.js';
import type { ByteRun } from '../src/domain/units.js';
import { writeFully } from '../src/kernel/file-io.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { adviseRandom, dropPageCache, readAhead } from '../src/kernel/page-cache.js';
import { takeTurn } from '../src/kernel/turns.js';
import { startWriteBack } from '../src/kernel/write-back.js';
import { type ContentReader, type ContentSource, openFromDisk } from './move-content.js';
import type { Pace } from './move-pace.js';

interface KnownPiece {
  readonly file: OpenFile;
  readonly mark: FileMark;
  readonly records: Float64Array;
  readonly piece: ByteRun;
}

/** What `prepareMoves` knows of a file. */
export interface PieceToRead extends KnownPiece {
  readonly handle: string;
}

/**
 * ext4: through the page cache, where MOVE_EXT finds it. In single pages: where the file sits in
 * large folios, each page would take 70 times as long to move.
 */
export function cachedSource(from: PieceToRead): ContentSource {
  dropPageCache(from.file, from.piece);
  adviseRandom(from.file);
  return { file: from.file, ranges: writtenRanges(from) };
}

/** Btrfs: through the page cache, where its defragmentation finds it. */
export function bufferedSource(from: PieceToRead): ContentSource {
  return { file: from.file, ranges: writtenRanges(from) };
}

/**
 * Asks the page cache for a piece, without waiting until all of it is there: one after the other, so
 * that the first can be written while the next is read. Not on ext4: it comes in large folios.
 */
export function readPieceAhead(
  { mount, pace }: { readonly mount: OpenFile; readonly pace: Pace },
  from: KnownPiece,
): void {
  using _turn = takeTurn(mount, 'read');
  for (const run of writtenRanges(from).flatMap((range) => windowsOf(range, pace.windowBytes))) {
    if (pace.isStopped || !pace.isAtFullSpeed) return;
    readAhead(from.file, run);
  }
}

export interface CopySource extends ContentSource {
  readonly reader: ContentReader;
}

/** XFS: past the page cache, into the donor; holes and unwritten ranges stay what they are. */
export function copySource(mount: OpenFile, from: PieceToRead, donor: OpenFile): CopySource {
  const reader = openFromDisk(mount, from.handle);
  const sink = sinkInto(donor, from.piece);
  return { reader, file: reader.file, ranges: writtenRanges(from), sink };
}

/** The same through the page cache, where FIDEDUPERANGE finds what it compares: file and donor. */
export function cachedCopySource(from: PieceToRead, donor: OpenFile): ContentSource {
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
  closeSync(reader.file.fd);
}

function writtenRanges({ records, piece, mark }: KnownPiece): ByteRun[] {
  return cutAt(rangesOf(records, piece, true), mark.sizeBytes);
}
