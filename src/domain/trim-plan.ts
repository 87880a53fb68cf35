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
 * @returns a plan with `plannedBytes + skippedBytes` equal to the bytes of `runs`.
 */
export function planTrim(
  runs: readonly ByteRun[],
  granularityBytes: number,
  alignmentBytes = 0,
): TrimPlan {
  if (granularityBytes <= 0) throw new InvariantError('a trim needs a granularity above 0');
  const ranges: ByteRun[] = [];
  requireDisjoint(runs);
  for (const run of joinTouching(runs)) {
    const runEndBytes = run.startBytes + run.lengthBytes;
    const startBytes = roundUp(run.startBytes - alignmentBytes, granularityBytes) + alignmentBytes;
    const endBytes = roundDown(runEndBytes - alignmentBytes, granularityBytes) + alignmentBytes;
    if (endBytes > startBytes) ranges.push({ startBytes, lengthBytes: endBytes - startBytes });
  }
  const plannedBytes = totalBytes(ranges);
  return { ranges, plannedBytes, skippedBytes: totalBytes(runs) - plannedBytes };
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
