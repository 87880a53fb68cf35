/**
 * Where free space is worth joining: windows of a disk that little must leave to make one free run.
 *
 * Space frees itself in pieces as small as the objects that were deleted. When no run is long enough
 * for an extent, moving a few small neighbours makes one. Pure.
 */

import type { ByteRun } from './units.js';

/** A run in disk order. What is in no run (journal, reservations) cannot be moved and ends a window. */
export interface PlacedRun extends ByteRun {
  /** Null for free and pending space. */
  readonly extentId: number | null;
}

export interface RoomPlan {
  readonly window: ByteRun;
  /** Whoever has a run in the window moves as a whole. */
  readonly extentIds: readonly number[];
  readonly movedBytes: number;
}

/** To free one byte, at most this many may be written: more wear than a contiguous extent is worth. */
const COST_RATIO_MAX = 2;

/**
 * @param runs disjoint, sorted by `startBytes`.
 * @param extentBytes bytes that the disk holds of an extent, in all its runs there.
 * @returns up to `limit` disjoint windows of at least `windowBytes`, the cheapest first.
 */
export function planRoom(
  runs: readonly PlacedRun[],
  extentBytes: ReadonlyMap<number, number>,
  windowBytes: number,
  limit: number,
): RoomPlan[] {
  const plans = candidateWindows(runs, extentBytes, windowBytes);
  plans.sort((a, b) => a.movedBytes - b.movedBytes);
  const chosen: RoomPlan[] = [];
  const leaving = new Set<number>();
  for (const plan of plans) {
    if (chosen.length >= limit) break;
    const overlaps = chosen.some((other) => intersect(other.window, plan.window));
    // An extent that another window already sends away must not be counted on twice.
    if (overlaps || plan.extentIds.some((id) => leaving.has(id))) continue;
    for (const id of plan.extentIds) leaving.add(id);
    chosen.push(plan);
  }
  return chosen;
}

/** One window from each free run on; two pointers, so that a disk is walked once. */
function candidateWindows(
  runs: readonly PlacedRun[],
  extentBytes: ReadonlyMap<number, number>,
  windowBytes: number,
): RoomPlan[] {
  const plans: RoomPlan[] = [];
  const inside = new Map<number, number>();
  let movedBytes = 0;
  let next = 0;
  let endBytes = 0;
  const enter = (id: number) => {
    const count = inside.get(id) ?? 0;
    if (count === 0) movedBytes += extentBytes.get(id) ?? 0;
    inside.set(id, count + 1);
  };
  const leave = (id: number) => {
    const count = (inside.get(id) ?? 1) - 1;
    if (count > 0) inside.set(id, count);
    else {
      inside.delete(id);
      movedBytes -= extentBytes.get(id) ?? 0;
    }
  };
  for (const [first, run] of runs.entries()) {
    if (next <= first) {
      next = first;
      endBytes = run.startBytes;
    }
    while (endBytes - run.startBytes < windowBytes) {
      const candidate = runs[next];
      if (!candidate || candidate.startBytes !== endBytes) break;
      if (candidate.extentId !== null) enter(candidate.extentId);
      endBytes += candidate.lengthBytes;
      next += 1;
    }
    const isWindow = run.extentId === null && endBytes - run.startBytes >= windowBytes;
    if (isWindow && movedBytes <= windowBytes * COST_RATIO_MAX) {
      const lengthBytes = endBytes - run.startBytes;
      plans.push({
        window: { startBytes: run.startBytes, lengthBytes },
        extentIds: [...inside.keys()],
        movedBytes,
      });
    }
    if (next > first && run.extentId !== null) leave(run.extentId);
  }
  return plans;
}

function intersect(a: ByteRun, b: ByteRun): boolean {
  return a.startBytes < b.startBytes + b.lengthBytes && b.startBytes < a.startBytes + a.lengthBytes;
}
