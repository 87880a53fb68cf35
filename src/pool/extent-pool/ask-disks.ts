/**
 * Threads that wait for a disk which hangs, in a process that does not look at its disks anyway (as the
 * agent does): a command, or a program that uses a pool.
 */

import type { PoolContext } from './context.js';

/** Work that takes longer makes its disks be asked, as often as that. */
const ASK_EVERY_MS = 500;

/**
 * Waits for work of threads. While it takes long, its disks are asked whether they answer; on one that
 * does not, it is given up, and the disk is taken as missing from then on.
 *
 * @param paths files of disks.
 */
export async function askingDisks<T>(
  context: PoolContext,
  paths: Iterable<string>,
  work: Promise<T>,
): Promise<T> {
  const asked = new Set(paths);
  const timer = setInterval(() => context.probeDisks(asked), ASK_EVERY_MS);
  try {
    return await work;
  } finally {
    clearInterval(timer);
  }
}
