/** The free runs of a mounted ext4 or XFS, without touching its device. */

import type { ByteRun } from '../domain/units.js';
import { kernelAddon } from './addon.js';
import { type OpenFile, rangeArguments } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';

export interface FreeSpace {
  /** Start and length in bytes of each run, sorted, one behind the other, clipped to the range. */
  readonly runs: Float64Array;
  /** Where the file system ends, or the range if that is sooner. */
  readonly endBytes: number;
}

/**
 * Lists what is free in a range of the data device.
 *
 * It is the state in memory: what was freed and not yet committed is free already.
 *
 * @throws KernelCallError ERR_UNSUPPORTED when the file system does not tell (Btrfs).
 *
 * Source: ioctl_getfsmap(2).
 */
export function freeRuns(file: OpenFile, range: ByteRun): FreeSpace {
  const reply = kernelAddon().freeSpaceRuns(file.fd, ...rangeArguments(range));
  if (reply.errno !== 0) throw new KernelCallError('list free space of', reply.errno, file.path);
  return { runs: reply.runs, endBytes: Number(reply.endBytes) };
}
