/** Makes samples of whole hours for adaptive mode from a look with each tick. Pure. */

import { HOURS_PER_WEEK, type HourSample } from './adaptive.js';
import type { Policy } from './policy.js';
import { wallTimeMs } from './time-zone.js';

const HOUR_MS = 60 * 60 * 1000;
/** Monday is the first day; the epoch began on a Thursday. */
const EPOCH_HOUR = 3 * 24;
/** An hour with fewer looks tells too little: the agent was away, or the clock jumped. */
const LOOKS_MIN = 20;

/** One look. */
export interface HourLook {
  readonly atMs: number;
  readonly hourOfWeek: number;
  /** Share of the time since the last look in which others had requests; null where devices do not tell. */
  readonly loadRatio: number | null;
  readonly fragmentationRatio: number | null;
  /** Extents or files that we moved so far, ever: where it grows, fragmentation says nothing. */
  readonly movedCount: number;
}

/** The hour that is not over. */
export interface HourInProgress {
  readonly startMs: number;
  readonly hourOfWeek: number;
  readonly lookCount: number;
  readonly loadSum: number;
  readonly first: Pick<HourLook, 'fragmentationRatio' | 'movedCount'>;
  readonly last: Pick<HourLook, 'fragmentationRatio' | 'movedCount'>;
}

export interface EndedHour {
  readonly hourOfWeek: number;
  readonly sample: HourSample;
}

/** @returns the hour that goes on, and the one that this look ended, if it saw enough of it. */
export function looked(
  before: HourInProgress | null,
  look: HourLook,
): { readonly now: HourInProgress; readonly ended: EndedHour | null } {
  const startMs = Math.floor(look.atMs / HOUR_MS) * HOUR_MS;
  const isSame = before?.startMs === startMs;
  const { fragmentationRatio, movedCount, loadRatio, hourOfWeek } = look;
  const state = { fragmentationRatio, movedCount };
  const base =
    before && isSame
      ? before
      : { startMs, hourOfWeek, lookCount: 0, loadSum: 0, first: state, last: state };
  const counts = loadRatio !== null;
  const now = {
    ...base,
    lookCount: base.lookCount + (counts ? 1 : 0),
    loadSum: base.loadSum + (loadRatio ?? 0),
    last: state,
  };
  return { now, ended: before && !isSame ? endOf(before) : null };
}

function endOf(hour: HourInProgress): EndedHour | null {
  const { lookCount, loadSum, first, last, hourOfWeek } = hour;
  if (lookCount < LOOKS_MIN) return null;
  const [from, to] = [first.fragmentationRatio, last.fragmentationRatio];
  const isKnown = from !== null && to !== null && first.movedCount === last.movedCount;
  const growthRatio = isKnown ? Math.max(0, to - from) : null;
  return { hourOfWeek, sample: { loadRatio: loadSum / lookCount, growthRatio } };
}

/** Of the first window or quiet hours; UTC where there are none. */
export function zoneOf({ windows, quietHours }: Policy): string {
  return windows[0]?.timeZone ?? quietHours[0]?.timeZone ?? 'UTC';
}

/** 0 to 167, from Monday midnight on the wall. */
export function hourOfWeek(timeZone: string, atMs: number): number {
  return (Math.floor(wallTimeMs(timeZone, atMs) / HOUR_MS) + EPOCH_HOUR) % HOURS_PER_WEEK;
}
