/** Flushes a whole file system. */

import { kernelAddon } from './addon.js';
import type { OpenFile } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';

/**
 * Writes everything dirty of the file system that holds the file, other programs' data too.
 *
 * Frees what punched holes gave back, which file systems put off to their next commit.
 *
 * @throws KernelCallError when something could not be written since the last call.
 *
 * Source: syncfs(2).
 */
export function syncFileSystem(file: OpenFile): void {
  const errno = kernelAddon().syncFileSystem(file.fd);
  if (errno !== 0) throw new KernelCallError('sync file system', errno, file.path);
}
