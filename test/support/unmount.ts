/** Unmounts what an agent may have open for a moment. */

import type { LoopMount } from './loop-mounts.js';

const TRIES_MAX = 200;
const RETRY_MS = 50;

/** @throws Error with what umount said last. */
export function unmountInTime(mount: LoopMount): void {
  for (let tries = 1; ; tries += 1) {
    try {
      mount.unmount();
      return;
    } catch (cause) {
      if (tries === TRIES_MAX) throw cause;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
    }
  }
}
