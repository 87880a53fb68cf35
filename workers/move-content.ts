/** Reads the content of a piece of a file and makes its checksum. */

import { closeSync, constants } from 'node:fs';
import { Blake3Hasher } from '@napi-rs/blake-hash';
import { cutAt, rangesOf } from '../src/domain/move-plan.js';
import type { MoveIntent } from '../src/domain/move-tasks.js';
import { type ByteRun, MIB, roundUp } from '../src/domain/units.js';
import { openByHandle } from '../src/kernel/file-handle.js';
import { readUpTo } from '../src/kernel/file-io.js';
import { fileMappings } from '../src/kernel/file-state.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { KernelCallError } from '../src/kernel/kernel-error.js';
import { dropPageCache } from '../src/kernel/page-cache.js';
import type { Pace } from './move-pace.js';
import { extentBuffer } from './replica-io.js';

/** Larger makes nothing faster; the thread keeps one such buffer. */
const CHUNK_BYTES = 4 * MIB;
const BLOCK_BYTES = 4096;

export interface ContentReader extends Disposable {
  readonly file: OpenFile;
  /** Whether it reads past the page cache. */
  readonly direct: boolean;
}

/** Gets each chunk; only valid during the call. Whole blocks, zeros behind the end of the file. */
export type ChunkSink = (chunk: Buffer, atBytes: number, contentBytes: number) => void;

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
 * @throws KernelCallError EIO when the file is shorter than its ranges.
 */
export function checksumRanges(
  { file }: Pick<ContentReader, 'file'>,
  ranges: readonly ByteRun[],
  pace: Pace,
  sink?: ChunkSink,
): string {
  const hasher = new Blake3Hasher();
  for (const { startBytes, lengthBytes } of ranges) {
    hasher.update(Buffer.from(`${startBytes}+${lengthBytes};`));
    for (let doneBytes = 0; doneBytes < lengthBytes; doneBytes += CHUNK_BYTES) {
      const contentBytes = Math.min(CHUNK_BYTES, lengthBytes - doneBytes);
      const atBytes = startBytes + doneBytes;
      const chunk = extentBuffer(CHUNK_BYTES).subarray(0, roundUp(contentBytes, BLOCK_BYTES));
      if (readUpTo(file, chunk, atBytes) < contentBytes)
        throw new KernelCallError('read', 5, file.path);
      chunk.fill(0, contentBytes);
      hasher.update(chunk.subarray(0, contentBytes));
      pace.spend(contentBytes);
      sink?.(chunk, atBytes, contentBytes);
    }
  }
  return hasher.digestBuffer().toString('hex');
}

/** Opens a file again so that what is read comes from the disk and leaves nothing in the cache. */
export function openFromDisk(mount: OpenFile, handle: string): ContentReader {
  try {
    const file = openByHandle(mount, handle, constants.O_RDONLY | constants.O_DIRECT);
    return { file, direct: true, [Symbol.dispose]: () => closeSync(file.fd) };
  } catch (cause) {
    if (!(cause instanceof KernelCallError) || cause.details.errnoName !== 'EINVAL') throw cause;
    const file = openByHandle(mount, handle, constants.O_RDONLY);
    return { file, direct: false, [Symbol.dispose]: () => closeSync(file.fd) };
  }
}

/** Checksums the piece of an intent as it is on the disk now. */
export function checksumOnDisk(mount: OpenFile, intent: MoveIntent, pace: Pace): string {
  using reader = openFromDisk(mount, intent.handle);
  const piece = { startBytes: intent.startBytes, lengthBytes: intent.lengthBytes };
  if (!reader.direct) dropPageCache(reader.file, piece);
  return checksumRanges(reader, contentRanges(reader.file, piece, intent.mark.sizeBytes), pace);
}
