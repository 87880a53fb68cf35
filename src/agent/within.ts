/** Waiting with a bound: an agent must end although Redis, or a disk, does not come back. */

import { setTimeout as sleep } from 'node:timers/promises';

/** Waits until `work` has settled, however it did, but no longer than this. */
export async function within(timeoutMs: number, work: Promise<unknown>): Promise<void> {
  const giveUp = new AbortController();
  const { signal } = giveUp;
  const timer = sleep(timeoutMs, null, { signal }).catch(() => {});
  await Promise.race([work.catch(() => {}), timer]);
  giveUp.abort();
}

/** For extents under way, unless their disk is seen not to answer; less than `agent stop` waits. */
export const DRAIN_MS_MAX = 90_000;
const LOOK_EVERY_MS = 500;

/**
 * Waits until work has settled, however it did, or until then; looks at something meanwhile.
 *
 * @param endAtMs of `performance.now`.
 * @returns whether it has.
 */
export async function finished(
  work: Iterable<Promise<unknown>>,
  endAtMs: number,
  look: () => void,
): Promise<boolean> {
  let isOver = false;
  const over = Promise.allSettled(work).then(() => {
    isOver = true;
  });
  while (!isOver && performance.now() < endAtMs) {
    look();
    await within(LOOK_EVERY_MS, over);
  }
  return isOver;
}
