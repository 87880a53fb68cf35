/** Gives a range inside a file back to its file system. */

import type { ByteRun } from '../domain/units.js';
import { kernelAddon } from './addon.js';
import { type OpenFile, rangeArguments } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';

/**
 * Frees the whole blocks inside a run and zeroes its ragged ends; the size of the file stays.
 *
 * Success says that it was accepted, not what it freed: `mappedBytes` before and after tells.
 * Safe while: nothing that is still wanted lies in the run, as it reads back as zeros.
 *
 * @throws KernelCallError ERR_UNSUPPORTED when the file system has no holes.
 *
 * Source: fallocate(2) (FALLOC_FL_PUNCH_HOLE).
 */
export function punchHole(file: OpenFile, run: ByteRun): void {
  const errno = kernelAddon().punchHole(file.fd, ...rangeArguments(run));
  if (errno !== 0) throw new KernelCallError('punch a hole in', errno, file.path);
}
