/**
 * EXT4_IOC_MOVE_EXT: swaps blocks of a file with those of its donor and takes the content along.
 *
 * The kernel holds the locks of both files, copies through the page cache and journals each swap, so
 * readers and writers see no change. What the donor holds afterwards are the old blocks, marked
 * unwritten. It heeds no signal: keep the runs short.
 *
 * Source: struct move_extent in linux/fs/ext4/ext4.h; e4defrag(8).
 */

import { InvariantError } from '../domain/errors.js';
import type { ByteRun } from '../domain/units.js';
import { kernelAddon } from './addon.js';
import type { OpenFile } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';

export interface MoveExtentsRequest {
  readonly file: OpenFile;
  readonly donor: OpenFile;
  /** Whole blocks. */
  readonly run: ByteRun;
  readonly donorStartBytes: number;
  readonly blockBytes: number;
}

/**
 * @returns bytes moved: 0 when there was nothing to move, a hole or past the end of the file.
 * @throws KernelCallError when no block was moved.
 */
export function moveExtents(request: MoveExtentsRequest): number {
  const { file, donor, run, donorStartBytes, blockBytes } = request;
  const numbers = [run.startBytes, donorStartBytes, run.lengthBytes].map((sizeBytes) => {
    if (sizeBytes % blockBytes !== 0) throw new InvariantError(`${sizeBytes} is not whole blocks`);
    return BigInt(sizeBytes / blockBytes);
  }) as [bigint, bigint, bigint];
  const { errno, movedBlocks } = kernelAddon().moveExtents(file.fd, donor.fd, ...numbers);
  const movedBytes = Number(movedBlocks) * blockBytes;
  if (movedBytes === 0 && errno !== 0) {
    throw new KernelCallError('move blocks of', errno, file.path);
  }
  return movedBytes;
}
