/** Writes the dirty pages of a file, without the flush of the disk that fsync(2) adds. */

import { kernelAddon } from './addon.js';
import type { OpenFile } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';

/** Starts it and returns: the disk works while the next file is prepared. */
export function startWriteBack(file: OpenFile): void {
  const errno = kernelAddon().writeBack(file.fd, 0n, 0n, 0);
  if (errno !== 0) throw new KernelCallError('write back', errno, file.path);
}

/**
 * Waits until no page of the file is dirty, which also write-protects pages that are mapped: from
 * here on even a write through mmap(2) changes the file's times. On Btrfs also until the file refers to
 * what was written: sync_file_range(2) alone returns a moment before.
 *
 * @throws KernelCallError EIO when a page could not be written since the descriptor was opened or
 * last asked: told once, and final.
 *
 * Source: sync_file_range(2).
 */
export function finishWriteBack(file: OpenFile): void {
  const errno = kernelAddon().writeBack(file.fd, 0n, 0n, 1);
  if (errno !== 0) throw new KernelCallError('write back', errno, file.path);
}
