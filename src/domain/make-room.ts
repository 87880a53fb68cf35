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
  /** Whoever has a run in the window. One in a single piece moves as a whole. */
  readonly extentIds: readonly number[];
  readonly movedBytes: number;
}

/** To free one byte, at most this many may be written: more wear than a contiguous extent is worth. */
const COST_RATIO_MAX = 1.5;

/**
 * @param runs disjoint, sorted by `startBytes`.
 * @returns up to `limit` disjoint windows of at least `windowBytes`, the cheapest first.
 */
export function planRoom(
  runs: readonly PlacedRun[],
  windowBytes: number,
  limit: number,
): RoomPlan[] {
  const plans = candidateWindows(runs, windowBytes);
  plans.sort((a, b) => a.movedBytes - b.movedBytes);
  const chosen: RoomPlan[] = [];
  const leaving = new Set<number>();
  for (const plan of plans) {
    if (chosen.length >= limit) break;
    const overlaps = chosen.some((other) => intersect(other.window, plan.window));
    // A replica is rewritten by one move at a time.
    if (overlaps || plan.extentIds.some((id) => leaving.has(id))) continue;
    for (const id of plan.extentIds) leaving.add(id);
    chosen.push(plan);
  }
  return chosen;
}

/** One window from each free run on; two pointers, so that a disk is walked once. */
function candidateWindows(runs: readonly PlacedRun[], windowBytes: number): RoomPlan[] {
  const plans: RoomPlan[] = [];
  let movedBytes = 0;
  let next = 0;
  let endBytes = 0;
  for (const [first, run] of runs.entries()) {
    if (next <= first) {
      next = first;
      endBytes = run.startBytes;
      movedBytes = 0;
    }
    while (endBytes - run.startBytes < windowBytes) {
      const candidate = runs[next];
      if (!candidate || candidate.startBytes !== endBytes) break;
      if (candidate.extentId !== null) movedBytes += candidate.lengthBytes;
      endBytes += candidate.lengthBytes;
      next += 1;
    }
    const lengthBytes = endBytes - run.startBytes;
    if (run.extentId === null && lengthBytes >= windowBytes) {
      if (movedBytes <= windowBytes * COST_RATIO_MAX) {
        const window = { startBytes: run.startBytes, lengthBytes };
        plans.push({ window, extentIds: extentsIn(runs, first, next), movedBytes });
      }
    }
    if (run.extentId !== null) movedBytes -= run.lengthBytes;
  }
  return plans;
}

function extentsIn(runs: readonly PlacedRun[], from: number, to: number): number[] {
  const ids = new Set<number>();
  for (const { extentId } of runs.slice(from, to)) if (extentId !== null) ids.add(extentId);
  return [...ids];
}

function intersect(a: ByteRun, b: ByteRun): boolean {
  return a.startBytes < b.startBytes + b.lengthBytes && b.startBytes < a.startBytes + a.lengthBytes;
}
