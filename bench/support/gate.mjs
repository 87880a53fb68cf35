/**
 * Keeps other work of this machine away while a figure is taken: `DYNAMICFS_BENCH_LOCK` names a file
 * that such work locks shared, for example `flock -s FILE npm test`. Without it, nothing is waited for;
 * with it, for two minutes at most, and the figure is taken all the same.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { adopt } from './scratch.mjs';

const LOCK = process.env.DYNAMICFS_BENCH_LOCK;
const WAIT_SECONDS = 120;

/** @returns what `body` returns, which has the machine for itself as far as others heed the lock. */
export async function alone(body) {
  if (!LOCK) return await body();
  // It says so when it has the lock, and gives it up when its input ends.
  const holder = adopt(
    spawn('flock', ['-x', '-w', `${WAIT_SECONDS}`, LOCK, 'sh', '-c', 'echo held; cat'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    }),
  );
  const ended = once(holder, 'exit');
  await Promise.race([once(holder.stdout, 'data'), ended]);
  try {
    return await body();
  } finally {
    holder.stdin.end();
    await ended;
  }
}
