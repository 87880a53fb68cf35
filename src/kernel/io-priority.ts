/** Lets every other program go first on the disk. */

import { kernelAddon } from './addon.js';

/**
 * Puts the calling thread in the idle I/O class; what libuv's own threads do is not in it.
 *
 * A wish, not a guarantee: only I/O schedulers with classes (BFQ, mq-deadline) heed it.
 *
 * @returns false when the kernel refuses, which is no reason to stop.
 *
 * Source: ioprio_set(2).
 */
export function setIdlePriority(): boolean {
  return kernelAddon().setIdlePriority() === 0;
}
