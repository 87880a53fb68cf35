/** Reads the content of a piece of a file and makes its checksum. */

import { closeSync, constants, openSync } from 'node:fs';
import { Blake3Hasher } from '@napi-rs/blake-hash';
import { MaintenanceError } from '../src/domain/errors.js';
import { cutAt, rangesOf } from '../src/domain/move-plan.js';
import type { FileMark, MoveIntent } from '../src/domain/move-tasks.js';
import { type ByteRun, MIB, roundUp } from '../src/domain/units.js';
import { openByHandle } from '../src/kernel/file-handle.js';
import { readUpTo } from '../src/kernel/file-io.js';
import { fileMappings } from '../src/kernel/file-state.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { fromNodeError, KernelCallError } from '../src/kernel/kernel-error.js';
import { dropPageCache } from '../src/kernel/page-cache.js';
import { type Pace, Stopped } from './move-pace.js';
import { extentBuffer } from './replica-io.js';

/** Larger makes nothing faster; the thread keeps one such buffer. */
const CHUNK_BYTES = 4 * MIB;
const BLOCK_BYTES = 4096;

export interface ContentReader extends Disposable {
  readonly file: OpenFile;
  /** Whether it reads past the page cache. */
  readonly direct: boolean;
}

export interface ReadOptions {
  readonly pace: Pace;
  /** Whether a stop may end it between two chunks. */
  readonly stoppable: boolean;
  /** Where the file that is read begins in the file that it stands for: the start of a donor. */
  readonly shiftBytes?: number;
  /** Gets each chunk, only valid during the call: whole blocks, zeros behind the end of the file. */
  readonly sink?: (chunk: Buffer, atBytes: number, contentBytes: number) => void;
}

/**
 * What of a piece was ever written. Holes and what is only allocated are not content: they read as
 * zeros, and must be where they were after a move.
 */
export function contentRanges(file: OpenFile, piece: ByteRun, sizeBytes: number): ByteRun[] {
  return cutAt(rangesOf(fileMappings(file, piece), piece, true), sizeBytes);
}

/**
 * BLAKE3 over where each range lies and what is in it, so that a hole that was filled, or a range
 * that became unwritten, is a difference too.
 *
 * @returns hex.
 * @throws MaintenanceError ERR_MAP_CHANGED when the file is shorter than its ranges; `Stopped`.
 */
export function checksumRanges(
  file: OpenFile,
  ranges: readonly ByteRun[],
  { pace, stoppable, shiftBytes = 0, sink }: ReadOptions,
): string {
  const hasher = new Blake3Hasher();
  for (const { startBytes, lengthBytes } of ranges) {
    hasher.update(Buffer.from(`${startBytes + shiftBytes}+${lengthBytes};`));
    for (let doneBytes = 0; doneBytes < lengthBytes; doneBytes += CHUNK_BYTES) {
      if (stoppable && pace.isStopped) throw new Stopped();
      const contentBytes = Math.min(CHUNK_BYTES, lengthBytes - doneBytes);
      const atBytes = startBytes + doneBytes;
      const chunk = extentBuffer(CHUNK_BYTES).subarray(0, roundUp(contentBytes, BLOCK_BYTES));
      if (readUpTo(file, chunk, atBytes) < contentBytes) throw shorter(file);
      chunk.fill(0, contentBytes);
      hasher.update(chunk.subarray(0, contentBytes));
      pace.spend(contentBytes);
      sink?.(chunk, atBytes, contentBytes);
    }
  }
  return hasher.digestBuffer().toString('hex');
}

/** Truncated while it was read. */
function shorter(file: OpenFile): MaintenanceError {
  return new MaintenanceError('ERR_MAP_CHANGED', `${file.path} became shorter`);
}

/** Opens a file again so that what is read comes from the disk and leaves nothing in the cache. */
export function openFromDisk(mount: OpenFile, handle: string): ContentReader {
  return openPastCache((flag) => openByHandle(mount, handle, constants.O_RDONLY | flag));
}

/** The same for a file that is open. */
export function openReader({ fd, path }: OpenFile): ContentReader {
  return openPastCache((flag) => {
    try {
      return { fd: openSync(`/proc/self/fd/${fd}`, constants.O_RDONLY | flag), path };
    } catch (cause) {
      throw fromNodeError('open', cause, path);
    }
  });
}

/** Through the cache where the file system has no O_DIRECT: the caller drops it first. */
function openPastCache(open: (flag: number) => OpenFile): ContentReader {
  const reader = (file: OpenFile, direct: boolean): ContentReader => ({
    file,
    direct,
    [Symbol.dispose]: () => closeSync(file.fd),
  });
  try {
    return reader(open(constants.O_DIRECT), true);
  } catch (cause) {
    if (!(cause instanceof KernelCallError) || cause.details.errnoName !== 'EINVAL') throw cause;
    return reader(open(0), false);
  }
}

export function pieceOfIntent({ startBytes, lengthBytes }: MoveIntent): ByteRun {
  return { startBytes, lengthBytes };
}

export function sameMark(a: FileMark, b: FileMark): boolean {
  return a.sizeBytes === b.sizeBytes && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs;
}

/** Checksums the piece of an intent as it is on the disk now. */
export function checksumOnDisk(mount: OpenFile, intent: MoveIntent, pace: Pace): string {
  using reader = openFromDisk(mount, intent.handle);
  const piece = pieceOfIntent(intent);
  if (!reader.direct) dropPageCache(reader.file, piece);
  const ranges = contentRanges(reader.file, piece, intent.mark.sizeBytes);
  return checksumRanges(reader.file, ranges, { pace, stoppable: false });
}
