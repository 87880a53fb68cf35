/**
 * BTRFS_IOC_DEFRAG_RANGE: makes Btrfs write a range anew, in one piece where it finds the room.
 *
 * The kernel only marks the pages dirty here; the old blocks go when the new ones are written and
 * their checksums recorded. Preallocated ranges and holes are left as they are.
 *
 * Source: linux/btrfs.h, btrfs_ioctl_defrag_range_args.
 */

import type { ByteRun } from '../domain/units.js';
import { kernelAddon } from './addon.js';
import { type OpenFile, rangeArguments } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';

/** @param thresholdBytes mappings as large as this are left alone. */
export function defragmentRange(file: OpenFile, run: ByteRun, thresholdBytes: number): void {
  const [start, length] = rangeArguments(run);
  const errno = kernelAddon().defragmentRange(file.fd, start, length, BigInt(thresholdBytes));
  if (errno !== 0) throw new KernelCallError('defragment', errno, file.path);
}
