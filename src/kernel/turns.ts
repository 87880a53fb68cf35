/**
 * Turns of the threads of this process at one mount, a turn for reading and one for writing.
 *
 * What a copy-on-write file system is told to write side by side gets places by turns, so that none
 * lies in one piece. What is read side by side is all there at the same time, and until then nothing
 * can be written.
 */

import { kernelAddon } from './addon.js';
import type { OpenFile } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';

const KINDS = { read: 0, write: 1 } as const;

/** Waits for the turn; blocks the thread. @returns what leaves it, in the same thread. */
export function takeTurn(mount: OpenFile, kind: keyof typeof KINDS): Disposable {
  const errno = kernelAddon().takeTurn(mount.fd, KINDS[kind]);
  if (errno !== 0) throw new KernelCallError('take a turn', errno, mount.path);
  return { [Symbol.dispose]: () => kernelAddon().leaveTurn(mount.fd, KINDS[kind]) };
}
