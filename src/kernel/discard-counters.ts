/** What a block device and the file behind a loop device show of discards. */

import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type KernelTrees, LIVE_TREES } from './mount-info.js';

const SECTOR_BYTES = 512;
const DISCARD_SECTORS_FIELD = 13;

/**
 * Bytes of the discards that a device has completed since it is there, refused ones included.
 *
 * @returns 0 where the device is gone or does not count.
 *
 * Source: Documentation/block/stat.rst, field 14.
 */
export function discardedBytes(deviceName: string, trees: KernelTrees = LIVE_TREES): number {
  try {
    const text = readFileSync(join(trees.sysPath, 'class/block', deviceName, 'stat'), 'latin1');
    return Number(text.trim().split(/\s+/)[DISCARD_SECTORS_FIELD] ?? 0) * SECTOR_BYTES;
  } catch {
    return 0;
  }
}

const POLL_MS = 1;
/** A run may have been taken since it was listed, and then nothing more comes. */
const QUIET_MS_MAX = 50;
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/**
 * Waits until a device has completed discards up to `goalBytes`, or has nothing under way, or its
 * counter stands still.
 *
 * Source: Documentation/ABI/stable/sysfs-block, inflight: discards count among the writes.
 */
export function waitForDiscards(deviceName: string, goalBytes: number): void {
  let seenBytes = discardedBytes(deviceName);
  for (let quietMs = 0; seenBytes < goalBytes && quietMs < QUIET_MS_MAX; quietMs += POLL_MS) {
    if (writesUnderWay(deviceName) === 0) return;
    Atomics.wait(sleeper, 0, 0, POLL_MS);
    const nowBytes = discardedBytes(deviceName);
    if (nowBytes !== seenBytes) quietMs = 0;
    seenBytes = nowBytes;
  }
}

function writesUnderWay(deviceName: string): number {
  try {
    const text = readFileSync(`/sys/class/block/${deviceName}/inflight`, 'latin1');
    return Number(text.trim().split(/\s+/)[1]);
  } catch {
    return 0;
  }
}

/** @returns what a file takes up on its disk, or null when it cannot be reached. */
export function allocatedBytes(path: string): number | null {
  try {
    return statSync(path).blocks * SECTOR_BYTES;
  } catch {
    return null;
  }
}
