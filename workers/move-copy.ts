/** Reads the piece of a file before it moves: for its checksum, and on XFS into its donor. */

import { closeSync, constants, openSync } from 'node:fs';
import { cutAt, rangesOf } from '../src/domain/move-plan.js';
import type { FileMark } from '../src/domain/move-tasks.js';
import { type ByteRun, MIB } from '../src/domain/units.js';
import { writeFully } from '../src/kernel/file-io.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { fromNodeError } from '../src/kernel/kernel-error.js';
import { adviseRandom, dropPageCache } from '../src/kernel/page-cache.js';
import { startWriteBack } from '../src/kernel/write-back.js';
import { checksumRanges, openFromDisk } from './move-content.js';
import type { Pace } from './move-pace.js';

/** What `prepareMoves` knows of a file. */
export interface PieceSource {
  readonly request: { readonly handle: string };
  readonly file: OpenFile;
  readonly status: { readonly mark: FileMark };
  readonly records: Float64Array;
  readonly piece: ByteRun;
}

/** Smaller files are written through the page cache: the disk then gets those of a group at once. */
const DIRECT_COPY_BYTES = 4 * MIB;
const BLOCK_BYTES = 4096;

/**
 * @param way `cached` leaves the piece in the page cache in single pages, as MOVE_EXT needs it;
 *   `direct` reads past the cache.
 */
export function checksumPiece(
  mount: OpenFile,
  source: PieceSource,
  way: 'cached' | 'direct',
  pace: Pace,
): string {
  const { piece, file } = source;
  const options = { pace, stoppable: true };
  if (way === 'cached') {
    // Where the file sits in large folios, each page would take 70 times as long to move.
    dropPageCache(file, piece);
    adviseRandom(file);
    return checksumRanges(file, writtenRanges(source), options);
  }
  using reader = openFromDisk(mount, source.request.handle);
  return checksumRanges(reader.file, writtenRanges(source), options);
}

/**
 * Copies what the piece has into its donor; holes and unwritten ranges stay what they are.
 *
 * @returns the checksum of what was copied.
 */
export function copyToDonor(
  mount: OpenFile,
  source: PieceSource,
  donor: OpenFile,
  pace: Pace,
): string {
  const { startBytes, lengthBytes } = source.piece;
  using reader = openFromDisk(mount, source.request.handle);
  using target = openTarget(donor, lengthBytes >= DIRECT_COPY_BYTES);
  const sink = (chunk: Buffer, atBytes: number, contentBytes: number): void => {
    const wholeBytes = target.direct ? contentBytes - (contentBytes % BLOCK_BYTES) : 0;
    const toBytes = atBytes - startBytes;
    if (wholeBytes > 0) writeFully(target.file, chunk.subarray(0, wholeBytes), toBytes);
    // The last bytes go through the cache: a whole block would make the donor longer than the file.
    if (contentBytes > wholeBytes) {
      writeFully(donor, chunk.subarray(wholeBytes, contentBytes), toBytes + wholeBytes);
    }
    pace.spend(contentBytes);
  };
  const checksum = checksumRanges(reader.file, writtenRanges(source), {
    pace,
    stoppable: true,
    sink,
  });
  startWriteBack(donor);
  return checksum;
}

function writtenRanges({ records, piece, status }: PieceSource): ByteRun[] {
  return cutAt(rangesOf(records, piece, true), status.mark.sizeBytes);
}

interface Target extends Disposable {
  readonly file: OpenFile;
  readonly direct: boolean;
}

/** Opens the donor once more, past the page cache. */
function openTarget(donor: OpenFile, wantsDirect: boolean): Target {
  const buffered = { file: donor, direct: false, [Symbol.dispose]: () => {} };
  if (!wantsDirect) return buffered;
  try {
    const fd = openSync(`/proc/self/fd/${donor.fd}`, constants.O_RDWR | constants.O_DIRECT);
    return { file: { fd, path: donor.path }, direct: true, [Symbol.dispose]: () => closeSync(fd) };
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EINVAL') return buffered;
    throw fromNodeError('open donor', cause, donor.path);
  }
}
