/** A scrub reads every replica and verifies it: its pace, and how replicas are read together. Pure. */

import type { Intensity } from './defrag-plan.js';
import type { ReplicaLocation } from './tasks.js';
import { type ByteRun, MIB, totalBytes } from './units.js';

export interface ScrubPace {
  /** Verified by one batch, after which the cursor is written down. */
  readonly batchBytes: number;
  /** Rest after a batch, as a multiple of the time that it took. */
  readonly restRatio: number;
}

export const SCRUB_PACE: Readonly<Record<Intensity, ScrubPace>> = {
  low: { batchBytes: 16 * MIB, restRatio: 4 },
  medium: { batchBytes: 64 * MIB, restRatio: 1 },
  high: { batchBytes: 512 * MIB, restRatio: 0 },
};

/** Bounds a batch of small extents. */
export const SCRUB_EXTENTS_MAX = 4_096;
/** What one thread takes at a time, at most. */
const SCRUB_TASK_BYTES_MAX = 256 * MIB;

/** Read in one go: a replica in pieces alone, or contiguous ones that lie one behind the other. */
export interface Sweep {
  readonly runs: readonly ByteRun[];
  /** Which replicas, and where each begins in what is read. */
  readonly members: readonly { readonly index: number; readonly offsetBytes: number }[];
}

const SWEEP_BYTES_MAX = 4 * MIB;
/** Longer ones are read one ahead, so that memory stays bounded with large extents. */
const SWEEP_BYTES_TWO_AHEAD_MAX = 16 * MIB;

/**
 * How many sweeps are read ahead of the one that is hashed. With two, the disk has the next request
 * before the thread has heard of the last one, as a disk that is faster than that needs it.
 */
export function sweepsAhead(sweeps: readonly Sweep[]): 1 | 2 {
  return sweeps.every(({ runs }) => totalBytes(runs) <= SWEEP_BYTES_TWO_AHEAD_MAX) ? 2 : 1;
}

/**
 * Small objects lie side by side: read one by one, each would cost the disk as much as a large one.
 *
 * @param replicas of one disk.
 */
export function planSweeps(replicas: readonly Pick<ReplicaLocation, 'runs'>[]): Sweep[] {
  const order = replicas
    .map(({ runs }, index) => ({ index, runs, startBytes: runs[0]?.startBytes ?? 0 }))
    .sort((a, b) => a.startBytes - b.startBytes);
  const sweeps: { runs: ByteRun[]; members: { index: number; offsetBytes: number }[] }[] = [];
  for (const { index, runs } of order) {
    const [run] = runs;
    const last = sweeps.at(-1);
    const before = last?.runs.length === 1 ? last.runs[0] : undefined;
    const touches =
      run !== undefined &&
      runs.length === 1 &&
      before !== undefined &&
      before.startBytes + before.lengthBytes === run.startBytes &&
      before.lengthBytes + run.lengthBytes <= SWEEP_BYTES_MAX;
    if (!last || !touches) {
      sweeps.push({ runs: [...runs], members: [{ index, offsetBytes: 0 }] });
      continue;
    }
    last.members.push({ index, offsetBytes: before.lengthBytes });
    last.runs = [{ ...before, lengthBytes: before.lengthBytes + run.lengthBytes }];
  }
  return sweeps;
}

/**
 * Splits what is read of a disk into `shareCount` tasks, or more where they would be too large. Few and
 * alike, since at the beginning of each a thread waits for the disk, and at its end the disk for it.
 *
 * @returns tasks of at least one item, in the order of the items.
 */
export function splitTasks<T extends { readonly runs: readonly ByteRun[] }>(
  items: readonly T[],
  shareCount: number,
): T[][] {
  const allBytes = items.reduce((sum, { runs }) => sum + totalBytes(runs), 0);
  const taskBytesMax = Math.min(SCRUB_TASK_BYTES_MAX, allBytes / shareCount);
  const tasks: T[][] = [];
  let taskBytes = Number.POSITIVE_INFINITY;
  for (const item of items) {
    if (taskBytes >= taskBytesMax) {
      tasks.push([]);
      taskBytes = 0;
    }
    tasks.at(-1)?.push(item);
    taskBytes += totalBytes(item.runs);
  }
  return tasks;
}
