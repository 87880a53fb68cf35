/** Ends a process whose threads cannot be ended. */

import { kernelAddon } from './addon.js';

/**
 * Ends it at once: no exit handlers, no waiting for threads. The kernel keeps what is left of it until the
 * disk answers that a thread waits for, and with it the files that it has open and their locks.
 *
 * Source: _exit(2).
 */
export function endProcess(code: number): never {
  return kernelAddon().endProcess(code);
}
