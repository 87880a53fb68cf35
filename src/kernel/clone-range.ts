/** Makes a range of a file share the blocks of another file's range. */

import type { ByteRun } from '../domain/units.js';
import { kernelAddon } from './addon.js';
import { type OpenFile, rangeArguments } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';

/**
 * @param from whole blocks, or up to the end of its file.
 * @throws KernelCallError ERR_UNSUPPORTED when the two cannot share: only one keeps checksums.
 *
 * Source: ioctl_ficlonerange(2).
 */
export function cloneRange(
  to: OpenFile,
  startBytes: number,
  from: OpenFile,
  fromRun: ByteRun,
): void {
  const [sourceStart, length] = rangeArguments(fromRun);
  const errno = kernelAddon().cloneRange(to.fd, from.fd, sourceStart, length, BigInt(startBytes));
  if (errno !== 0) throw new KernelCallError('share blocks with', errno, from.path);
}
