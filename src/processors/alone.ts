/** Does something short on disks while nobody else uses them, and gives it up when somebody does. */

import { setTimeout as sleep } from 'node:timers/promises';
import {
  defaultBounds,
  type Governing,
  govern,
  LOOKING,
  SAMPLE_EVERY_MS,
} from '../domain/governor.js';
import { MOVE_STOP, type MoveControl, makeMoveControl } from '../domain/move-tasks.js';
import { LoadProbe } from '../kernel/load-probe.js';

/** Whoever gives way most. */
const BOUNDS = defaultBounds('low');

/**
 * @param body ends soon once its flag is set.
 * @returns null when somebody else was at work before or meanwhile.
 */
export async function whileNobodyElse<T>(
  deviceNames: readonly string[],
  body: (stopFlag: MoveControl) => Promise<T>,
): Promise<T | null> {
  const stopFlag = makeMoveControl();
  if (process.env.DYNAMICFS_GOVERNOR === 'off') return await body(stopFlag);
  const probe = new LoadProbe(deviceNames);
  const look = (before: Governing) => govern(before, probe.take() ?? 'no-figures', BOUNDS);
  let now = LOOKING;
  while (now.state === 'looking') {
    await sleep(SAMPLE_EVERY_MS.looking);
    now = look(now);
  }
  if (now.paceRatio < 1) return null;
  const timer = setInterval(() => {
    now = look(now);
    if (now.paceRatio < 1) Atomics.store(stopFlag, MOVE_STOP, 1);
  }, SAMPLE_EVERY_MS.full);
  try {
    const result = await body(stopFlag);
    return Atomics.load(stopFlag, MOVE_STOP) === 1 ? null : result;
  } finally {
    clearInterval(timer);
  }
}
