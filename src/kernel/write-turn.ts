/**
 * Turns of the threads of this process at one mount: what a copy-on-write file system is told to write
 * side by side gets places by turns, so that neither lies in one piece.
 */

import { kernelAddon } from './addon.js';
import type { OpenFile } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';

/** Waits for the turn; blocks the thread. @returns what leaves it, in the same thread. */
export function takeWriteTurn(mount: OpenFile): Disposable {
  const errno = kernelAddon().takeTurn(mount.fd);
  if (errno !== 0) throw new KernelCallError('take a turn', errno, mount.path);
  return { [Symbol.dispose]: () => kernelAddon().leaveTurn(mount.fd) };
}
