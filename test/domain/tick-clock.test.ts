/** Times of the past, as a clock that was set back since would have shown them. */

import { expect, it } from 'vitest';
import {
  asOfNow,
  beginAsOfNow,
  type TickClock,
  ticked,
  trimAsOfNow,
} from '../../src/domain/tick-clock.js';

const HOUR_MS = 3_600_000;
const START_MS = Date.UTC(2026, 2, 10);
const MADE_MS = START_MS - 10 * HOUR_MS;

/** A pool that was trimmed an hour before its first tick. */
const trimmedAtMs = START_MS - HOUR_MS;
const newest = { reclamationId: 4, startedAtMs: START_MS - 3 * HOUR_MS, endedAtMs: trimmedAtMs };

function ticksAt(...ticks: readonly (readonly [nowMs: number, trimmedAtMs: number])[]): TickClock {
  let clock: TickClock | null = null;
  for (const [nowMs, trimmed] of ticks) {
    clock = ticked(clock, nowMs, { newest, trimmedAtMs: trimmed });
  }
  if (!clock) throw new Error('no tick');
  return clock;
}

it('stay as they are while the clock goes forward, by any step', () => {
  const nowMs = START_MS + 400 * 24 * HOUR_MS;
  const clock = ticksAt([START_MS, trimmedAtMs], [nowMs, trimmedAtMs]);
  expect(asOfNow(clock, newest)).toEqual(newest);
  expect(trimAsOfNow(clock, trimmedAtMs, nowMs)).toBe(trimmedAtMs);
  expect(beginAsOfNow(clock, MADE_MS, nowMs)).toBe(MADE_MS);
});

it('are moved with a clock that was set back, as often as it was', () => {
  const nowMs = START_MS - 7 * HOUR_MS;
  const ticks = [START_MS, START_MS - 5 * HOUR_MS, nowMs].map((at) => [at, trimmedAtMs] as const);
  const clock = ticksAt(...ticks);
  expect(trimAsOfNow(clock, trimmedAtMs, nowMs)).toBe(trimmedAtMs - 7 * HOUR_MS);
  expect(beginAsOfNow(clock, MADE_MS, nowMs)).toBe(MADE_MS - 7 * HOUR_MS);
  expect(asOfNow(clock, newest)).toMatchObject({ startedAtMs: nowMs - 3 * HOUR_MS });
});

it('of a trim after the clock was set back stay as they are, though a trim before it seems later', () => {
  const backMs = START_MS - 5 * HOUR_MS;
  const laterMs = backMs + HOUR_MS;
  const clock = ticksAt([START_MS, trimmedAtMs], [backMs, trimmedAtMs], [laterMs, backMs]);
  expect(backMs).toBeLessThan(trimmedAtMs);
  expect(trimAsOfNow(clock, backMs, laterMs)).toBe(backMs);
});

it('are never later than now', () => {
  const clock = ticksAt([START_MS, 0]);
  expect(trimAsOfNow(clock, START_MS + HOUR_MS, START_MS)).toBe(START_MS);
  expect(beginAsOfNow(clock, START_MS + HOUR_MS, START_MS)).toBe(START_MS);
});
