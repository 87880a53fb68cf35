/** Allocates space for a range of a file without writing it. */

import type { ByteRun } from '../domain/units.js';
import { kernelAddon } from './addon.js';
import { type OpenFile, rangeArguments } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';

/**
 * The range reads as zeros; the size of the file stays.
 *
 * @throws KernelCallError ERR_NO_SPACE when there is none; part of it may be allocated then.
 *
 * Source: fallocate(2) (FALLOC_FL_KEEP_SIZE).
 */
export function allocate(file: OpenFile, run: ByteRun): void {
  const errno = kernelAddon().allocate(file.fd, ...rangeArguments(run));
  if (errno !== 0) throw new KernelCallError('allocate space for', errno, file.path);
}
