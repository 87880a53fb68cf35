/**
 * How much of a window one call of FITRIM asks for, and how long to wait after it. Pure.
 *
 * While a device discards, writes wait: behind one large discard, or behind hundreds that XFS sends
 * at once. Short calls with pauses between let them through; what a call may ask for follows from
 * how long the ones before took.
 */

import { type ByteRun, MIB } from './units.js';

export const STEP_BYTES_FIRST = 16 * MIB;
const STEP_BYTES_MIN = 4 * MIB;
const STEP_BYTES_MAX = 64 * MIB;
/** A call that takes longer makes the next one smaller. */
const STEP_MS_GOAL = 30;
/** Free runs of one call: XFS sends a discard for each before it waits for the first. */
const STEP_RUNS_MAX = 96;
/**
 * Share of a call's time. What waited during a call gets through at once when it ends, so longer
 * pauses shortened no stall that was measured, and cost as much time again.
 */
const PAUSE_RATIO = 0.15;
const PAUSE_MS_MAX = 100;

/** @returns bytes for the next call. */
export function nextPaceBytes(paceBytes: number, requestedBytes: number, stepMs: number): number {
  if (stepMs > STEP_MS_GOAL) {
    const goal = paceBytes * Math.max(0.5, STEP_MS_GOAL / stepMs);
    return Math.max(STEP_BYTES_MIN, Math.floor(goal / MIB) * MIB);
  }
  // A call that found little to do tells nothing about the device.
  if (stepMs > STEP_MS_GOAL / 2 || requestedBytes < paceBytes / 2) return paceBytes;
  return Math.min(STEP_BYTES_MAX, paceBytes * 1.5);
}

/** @returns how long others have the device for themselves after a call. */
export function pauseAfterMs(requestedBytes: number, stepMs: number): number {
  return requestedBytes === 0 ? 0 : Math.min(PAUSE_MS_MAX, stepMs * PAUSE_RATIO);
}

/**
 * The end of the next call where free runs are known (XFS): at most `paceBytes` free bytes.
 *
 * A cut inside a run is a multiple of `granularityBytes`, or what is on both sides of it would be lost.
 *
 * @param runs start and length of each free run of the window, one behind the other.
 */
export function stepEndByRuns(
  runs: Float64Array,
  atBytes: number,
  endBytes: number,
  paceBytes: number,
  granularityBytes: number,
): number {
  let leftBytes = paceBytes;
  let runCount = 0;
  for (let index = firstRunBehind(runs, atBytes); index < runs.length; index += 2) {
    const runStart = Math.max(runs[index] ?? 0, atBytes);
    const runEnd = (runs[index] ?? 0) + (runs[index + 1] ?? 0);
    if (runStart >= endBytes) break;
    if (runCount === STEP_RUNS_MAX) return runStart;
    if (runEnd - runStart > leftBytes) {
      const cut = Math.floor((runStart + leftBytes) / granularityBytes) * granularityBytes;
      return Math.min(endBytes, Math.max(cut, atBytes + granularityBytes));
    }
    leftBytes -= runEnd - runStart;
    runCount += 1;
  }
  return endBytes;
}

/** Index of the first run that ends behind `atBytes`; runs are sorted. */
function firstRunBehind(runs: Float64Array, atBytes: number): number {
  let low = 0;
  let high = runs.length / 2;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((runs[2 * middle] ?? 0) + (runs[2 * middle + 1] ?? 0) <= atBytes) low = middle + 1;
    else high = middle;
  }
  return 2 * low;
}

/**
 * The end of the next call where only whole groups count (ext4): a group that is trimmed in one call
 * is not trimmed again before something is freed in it.
 */
export function stepEndByGroup(
  atBytes: number,
  endBytes: number,
  groupBytes: number,
  originBytes: number,
): number {
  const group = Math.floor(Math.max(0, atBytes - originBytes) / groupBytes);
  return Math.min(endBytes, originBytes + (group + 1) * groupBytes);
}

/** Free bytes inside `range`, of the parts that are at least `minLengthBytes` long. */
export function bytesOfRuns(runs: Float64Array, range: ByteRun, minLengthBytes: number): number {
  const rangeEnd = range.startBytes + range.lengthBytes;
  let sumBytes = 0;
  for (let index = firstRunBehind(runs, range.startBytes); index < runs.length; index += 2) {
    const from = Math.max(runs[index] ?? 0, range.startBytes);
    if (from >= rangeEnd) break;
    const to = Math.min((runs[index] ?? 0) + (runs[index + 1] ?? 0), rangeEnd);
    if (to - from >= minLengthBytes) sumBytes += to - from;
  }
  return sumBytes;
}
