/**
 * When maintenance windows open and close.
 *
 * cron-parser 5.10.3 loses times after a change of the clock by half an hour, so it is asked in wall
 * time only, as if that were UTC, and what the clock of the zone does is reckoned here:
 * - a start that does not exist, since the clock goes over it, is the moment of the change;
 * - a start that exists twice is the first of the two;
 * - a window of every hour (its hour begins with `*`) has no start that is skipped, and has both.
 * A window lasts as long as it says, also over a change of the clock.
 */

import { CronExpressionParser } from 'cron-parser';
import type { MaintenanceWindow } from '../domain/policy.js';
import { lastChange, nextChange, zoneOffsetMs } from '../domain/time-zone.js';
import type { WindowState } from '../domain/trigger-facts.js';

/** @returns how the windows of a policy stand; without any, nothing of it means anything. */
export function windowState(windows: readonly MaintenanceWindow[], nowMs: number): WindowState {
  let state: WindowState = { openUntilMs: null, openedAtMs: null, opensAtMs: null };
  for (const window of windows) {
    const startedAtMs = lastStartMs(window, nowMs);
    const endsAtMs = startedAtMs === null ? nowMs : startedAtMs + window.durationMs;
    if (endsAtMs > nowMs) {
      state = {
        ...state,
        openUntilMs: Math.max(state.openUntilMs ?? 0, endsAtMs),
        openedAtMs: Math.max(state.openedAtMs ?? Number.MIN_SAFE_INTEGER, startedAtMs ?? 0),
      };
    }
    const opensAtMs = nextStartMs(window, nowMs);
    if (opensAtMs !== null && (state.opensAtMs === null || opensAtMs < state.opensAtMs)) {
      state = { ...state, opensAtMs };
    }
  }
  return state;
}

/** @returns the last start at or before a time; null when there is none within the window's length. */
function lastStartMs({ cron, timeZone, durationMs }: MaintenanceWindow, atMs: number) {
  const floorMs = atMs - durationMs;
  const isHourly = everyHour(cron);
  let endMs = atMs;
  while (endMs > floorMs) {
    // Also one before the floor: what follows it may be the second time of what exists twice.
    const change = lastChange(timeZone, floorMs - FOLD_MS_MAX, endMs);
    const offsetMs = zoneOffsetMs(timeZone, endMs);
    const startMs = cronBefore(cron, endMs + offsetMs) - offsetMs;
    if (!change) return startMs > floorMs ? startMs : null;
    const shiftMs = change.offsetAfterMs - change.offsetBeforeMs;
    const foldMs = shiftMs < 0 && !isHourly ? -shiftMs : 0;
    if (startMs >= change.atMs + foldMs) return startMs > floorMs ? startMs : null;
    if (shiftMs > 0 && !isHourly && change.atMs > floorMs) {
      const skippedMs = cronBefore(cron, change.atMs + change.offsetAfterMs - 1);
      if (skippedMs >= change.atMs + change.offsetBeforeMs) return change.atMs;
    }
    endMs = change.atMs - 1;
  }
  return null;
}

/** @returns the first start after a time; null when the expression names no day that will come. */
function nextStartMs({ cron, timeZone }: MaintenanceWindow, atMs: number): number | null {
  const isHourly = everyHour(cron);
  let fromMs = atMs;
  // Where `fromMs` is a change of the clock, a start at that very moment counts.
  let wallMs = atMs + zoneOffsetMs(timeZone, atMs);
  // The second time of what exists twice, if it is that now.
  const changed = lastChange(timeZone, atMs - FOLD_MS_MAX, atMs);
  if (changed && !isHourly) wallMs = Math.max(wallMs, changed.atMs + changed.offsetBeforeMs - 1);
  for (;;) {
    const offsetMs = zoneOffsetMs(timeZone, fromMs);
    const nextWallMs = cronAfter(cron, wallMs);
    if (nextWallMs === null) return null;
    const startMs = nextWallMs - offsetMs;
    const change = nextChange(timeZone, fromMs, startMs);
    if (!change || startMs < change.atMs) return startMs;
    const [beforeMs, afterMs] = [change.offsetBeforeMs, change.offsetAfterMs].map(
      (offset) => change.atMs + offset,
    ) as [number, number];
    if (afterMs > beforeMs && !isHourly && nextWallMs < afterMs) return change.atMs;
    fromMs = change.atMs;
    wallMs = (isHourly ? afterMs : Math.max(beforeMs, afterMs)) - 1;
  }
}

/** Clocks go back by an hour or so; Samoa's went by a day. */
const FOLD_MS_MAX = 24 * 60 * 60 * 1000;

function everyHour(cron: string): boolean {
  return cron === '@hourly' || (cron.split(/\s+/)[1] ?? '').startsWith('*');
}

/** @returns the last time at or before one, on the wall. */
function cronBefore(cron: string, wallMs: number): number {
  try {
    // `prev` leaves out the time itself.
    return CronExpressionParser.parse(cron, { tz: 'UTC', currentDate: new Date(wallMs + 1) })
      .prev()
      .getTime();
  } catch {
    return Number.NEGATIVE_INFINITY;
  }
}

/** @returns the first time after one, on the wall; null when there is none in sight. */
function cronAfter(cron: string, wallMs: number): number | null {
  try {
    return CronExpressionParser.parse(cron, { tz: 'UTC', currentDate: new Date(wallMs) })
      .next()
      .getTime();
  } catch {
    return null;
  }
}
