/** FITRIM: a mounted file system discards what is free in it. */

import { InvariantError } from '../domain/errors.js';
import type { ByteRun } from '../domain/units.js';
import { kernelAddon } from './addon.js';
import { type OpenFile, rangeArguments } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';

/**
 * Asks the file system that holds `file` to discard its free runs inside `run`.
 *
 * Blocks until the device is done, and heeds no signal within a run of the allocator. Only what the
 * file system itself knows to be free is discarded, so nothing has to be locked out.
 *
 * @param run in the addresses of the file system: the device's for ext4 and XFS, logical for Btrfs.
 * @param minLengthBytes shorter free runs are left out; the kernel raises it to the granularity.
 * @returns what the file system says it asked for: XFS says the whole run, refused or not.
 * @throws KernelCallError ERR_UNSUPPORTED when no layer below takes discards.
 *
 * Source: linux/fs.h (FITRIM), fstrim(8).
 */
export function trimRange(file: OpenFile, run: ByteRun, minLengthBytes: number): number {
  if (!Number.isSafeInteger(minLengthBytes) || minLengthBytes < 0) {
    throw new InvariantError(`not a length: ${minLengthBytes}`);
  }
  const [startBytes, lengthBytes] = rangeArguments(run);
  const { errno, trimmedBytes } = kernelAddon().trimFileSystem(
    file.fd,
    startBytes,
    lengthBytes,
    BigInt(minLengthBytes),
  );
  if (errno !== 0) throw new KernelCallError('trim', errno, file.path);
  return Number(trimmedBytes);
}

/** What a file system without background frees, or a kernel without the call, answers. */
const NOT_NEEDED_ERRNOS = new Set([25 /* ENOTTY */, 22 /* EINVAL */, 95 /* EOPNOTSUPP */]);

/**
 * Waits for the frees that XFS has put off: else a file that was just deleted is not trimmed.
 *
 * @throws KernelCallError when the file system cannot do it.
 */
export function finishFrees(file: OpenFile): void {
  const errno = kernelAddon().finishFrees(file.fd);
  if (errno !== 0 && !NOT_NEEDED_ERRNOS.has(errno)) {
    throw new KernelCallError('finish the frees of', errno, file.path);
  }
}
