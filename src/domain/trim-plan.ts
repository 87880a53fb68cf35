/**
 * Turns freed runs into the ranges that a disk is asked to discard. Pure.
 *
 * A disk frees whole granules. Part of a granule may hold live data of a neighbour, so a joined
 * range is rounded inward; what is cut off stays pending and is counted, never dropped silently.
 */

import { InvariantError } from './errors.js';
import { type ByteRun, joinTouching, roundDown, roundUp, totalBytes } from './units.js';

export interface TrimPlan {
  readonly ranges: readonly ByteRun[];
  readonly plannedBytes: number;
  /** Bytes of `runs` outside every range: edges smaller than a granule. */
  readonly skippedBytes: number;
}

/**
 * @param runs disjoint and sorted by `startBytes`.
 * @param alignmentBytes where the first granule begins; those of some devices do not begin at 0.
 * @param blockBytes in which space is given out: what holds no whole block is not worth a discard,
 *   since it would stay pending and be discarded again and again.
 * @returns a plan with `plannedBytes + skippedBytes` equal to the bytes of `runs`.
 */
export function planTrim(
  runs: readonly ByteRun[],
  granularityBytes: number,
  alignmentBytes = 0,
  blockBytes = 1,
): TrimPlan {
  if (granularityBytes <= 0) throw new InvariantError('a trim needs a granularity above 0');
  const ranges: ByteRun[] = [];
  requireDisjoint(runs);
  for (const run of joinTouching(runs)) {
    const runEndBytes = run.startBytes + run.lengthBytes;
    const startBytes = roundUp(run.startBytes - alignmentBytes, granularityBytes) + alignmentBytes;
    const endBytes = roundDown(runEndBytes - alignmentBytes, granularityBytes) + alignmentBytes;
    const range = { startBytes, lengthBytes: endBytes - startBytes };
    if (wholeBlocks(range, blockBytes).lengthBytes > 0) ranges.push(range);
  }
  const plannedBytes = totalBytes(ranges);
  return { ranges, plannedBytes, skippedBytes: totalBytes(runs) - plannedBytes };
}

/** What of a discarded range is free now: on a device whose granules begin within blocks, not all. */
export function wholeBlocks({ startBytes, lengthBytes }: ByteRun, blockBytes: number): ByteRun {
  const firstBytes = roundUp(startBytes, blockBytes);
  const endBytes = roundDown(startBytes + lengthBytes, blockBytes);
  return { startBytes: firstBytes, lengthBytes: Math.max(0, endBytes - firstBytes) };
}

/** What overlaps would be counted twice, and discarded under somebody's feet. */
function requireDisjoint(runs: readonly ByteRun[]): void {
  for (const [index, run] of runs.entries()) {
    const before = runs[index - 1];
    if (before && before.startBytes + before.lengthBytes > run.startBytes) {
      throw new InvariantError('runs to trim must be sorted and disjoint');
    }
  }
}
