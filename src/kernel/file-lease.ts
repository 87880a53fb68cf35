/** Has a file to oneself for a moment. */

import { kernelAddon } from './addon.js';
import type { OpenFile } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';

/**
 * Holds the file so that nobody else has it open; who opens it meanwhile waits. Disposing gives it
 * back.
 *
 * @param file open for writing, and the only descriptor of it, in this process too.
 * @throws KernelCallError ERR_TARGET_BUSY when somebody has it open.
 *
 * Source: fcntl(2) (F_SETLEASE, F_WRLCK).
 */
export function leaseFile(file: OpenFile): Disposable {
  const errno = kernelAddon().leaseFile(file.fd, 1);
  if (errno !== 0) throw new KernelCallError('have to oneself', errno, file.path);
  return {
    [Symbol.dispose]: () => {
      kernelAddon().leaseFile(file.fd, 0);
    },
  };
}
