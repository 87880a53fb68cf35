/** For what is counted by the day. */

import { setTimeout as sleep } from 'node:timers/promises';
import { DAY_MS } from '../../src/domain/trends.js';

/** More than a test takes, also on a busy machine; less than it may take. */
const NEEDED_MS = 60_000;

/** Waits for the next UTC day where so little is left of this one that a test would see both. */
export async function untilDayIsLong(): Promise<void> {
  const leftMs = DAY_MS - (Date.now() % DAY_MS);
  if (leftMs < NEEDED_MS) await sleep(leftMs);
}
