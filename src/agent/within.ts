/** Waiting with a bound: an agent must end although Redis, which it waits for, does not come back. */

import { setTimeout as sleep } from 'node:timers/promises';

/** Waits until `work` has settled, however it did, but no longer than this. */
export async function within(timeoutMs: number, work: Promise<unknown>): Promise<void> {
  const giveUp = new AbortController();
  const { signal } = giveUp;
  const timer = sleep(timeoutMs, null, { signal }).catch(() => {});
  await Promise.race([work.catch(() => {}), timer]);
  giveUp.abort();
}
