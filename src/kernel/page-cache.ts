/** What the page cache holds of a file, and what it shall. */

import type { ByteRun } from '../domain/units.js';
import { kernelAddon } from './addon.js';
import { type OpenFile, rangeArguments } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';

/**
 * Drops the cached pages of a run, so that verifying reads what the disk really has.
 *
 * Dirty pages stay cached: flush the file first. Pages that a program has mapped stay as well.
 *
 * Source: posix_fadvise(2) (POSIX_FADV_DONTNEED).
 */
export function dropPageCache(file: OpenFile, run: ByteRun): void {
  const errno = kernelAddon().dropPageCache(file.fd, ...rangeArguments(run));
  if (errno !== 0) throw new KernelCallError('drop page cache', errno, file.path);
}

/**
 * Begins to read a run into the page cache and returns at once. A hint: no failure is one of ours.
 *
 * Source: posix_fadvise(2) (POSIX_FADV_WILLNEED).
 */
export function readAhead(file: OpenFile, run: ByteRun): void {
  kernelAddon().readAhead(file.fd, ...rangeArguments(run));
}

/**
 * Makes reads through this descriptor cache single pages: EXT4_IOC_MOVE_EXT works page by page and
 * takes 70 times as long where a page is part of a large folio.
 *
 * Source: posix_fadvise(2) (POSIX_FADV_RANDOM).
 */
export function adviseRandom(file: OpenFile): void {
  const errno = kernelAddon().adviseRandom(file.fd);
  if (errno !== 0) throw new KernelCallError('advise about', errno, file.path);
}
