/**
 * Turns freed runs into the ranges that a disk is asked to discard. Pure.
 *
 * A disk frees whole granules. Part of a granule may hold live data of a neighbour, so a joined
 * range is rounded inward; what is cut off stays pending and is counted, never dropped silently.
 */

import { InvariantError } from './errors.js';
import { type ByteRun, roundDown, roundUp, totalBytes } from './units.js';

export interface TrimPlan {
  readonly ranges: readonly ByteRun[];
  readonly plannedBytes: number;
  /** Bytes of `runs` outside every range: edges smaller than a granule. */
  readonly skippedBytes: number;
}

/**
 * @param runs disjoint and sorted by `startBytes`.
 * @returns a plan with `plannedBytes + skippedBytes` equal to the bytes of `runs`.
 */
export function planTrim(runs: readonly ByteRun[], granularityBytes: number): TrimPlan {
  if (granularityBytes <= 0) throw new InvariantError('a trim needs a granularity above 0');
  const ranges: ByteRun[] = [];
  for (const run of joinNeighbours(runs)) {
    const startBytes = roundUp(run.startBytes, granularityBytes);
    const endBytes = roundDown(run.startBytes + run.lengthBytes, granularityBytes);
    if (endBytes > startBytes) ranges.push({ startBytes, lengthBytes: endBytes - startBytes });
  }
  const plannedBytes = totalBytes(ranges);
  return { ranges, plannedBytes, skippedBytes: totalBytes(runs) - plannedBytes };
}

/** @param runs disjoint and sorted by `startBytes`. */
export function joinNeighbours(runs: readonly ByteRun[]): ByteRun[] {
  const joined: { startBytes: number; lengthBytes: number }[] = [];
  for (const run of runs) {
    const last = joined.at(-1);
    if (last && last.startBytes + last.lengthBytes > run.startBytes) {
      throw new InvariantError('runs to trim must be sorted and disjoint');
    }
    if (last && last.startBytes + last.lengthBytes === run.startBytes) {
      last.lengthBytes += run.lengthBytes;
    } else {
      joined.push({ ...run });
    }
  }
  return joined;
}
