/**
 * Quiet hours: by the clock on the wall, so on days when clocks change they last an hour more or
 * less, as they do for the people they are for. Pure.
 */

import type { QuietHours } from './policy.js';
import { nextChange, wallTimeMs } from './time-zone.js';

const MINUTE_MS = 60 * 1000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** Quiet hours that follow each other are looked through so often, no more. */
const STEPS_MAX = 200;

/** @returns when the quiet hours of now are over, those that follow at once too; null outside. */
export function quietUntilMs(all: readonly QuietHours[], nowMs: number): number | null {
  let untilMs = nowMs;
  for (let step = 0; step < STEPS_MAX; step += 1) {
    const ends = all.flatMap((one) => endOf(one, untilMs) ?? []);
    if (ends.length === 0) break;
    untilMs = Math.max(...ends);
  }
  return untilMs === nowMs ? null : untilMs;
}

/** @returns when it is over, or the clock changes before that; null when it is not quiet at `atMs`. */
function endOf(quiet: QuietHours, atMs: number): number | null {
  const fromMs = timeOfDayMs(quiet.from);
  const lengthMs = wrapped(timeOfDayMs(quiet.to) - fromMs);
  const sinceMs = wrapped(wallTimeMs(quiet.timeZone, atMs) - fromMs);
  if (sinceMs >= lengthMs) return null;
  const endMs = atMs + lengthMs - sinceMs;
  return nextChange(quiet.timeZone, atMs, endMs)?.atMs ?? endMs;
}

function timeOfDayMs(text: string): number {
  const [hours = 0, minutes = 0] = text.split(':').map(Number);
  return (hours * 60 + minutes) * MINUTE_MS;
}

function wrapped(ms: number): number {
  return ((ms % DAY_MS) + DAY_MS) % DAY_MS;
}
