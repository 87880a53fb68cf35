/** Adaptive mode at work: hours are learned from looks, and what was learned begins a reclamation early. */

import { describe, expect, it } from 'vitest';
import { HOURS_PER_WEEK, type HourKnowledge } from '../../src/domain/adaptive.js';
import {
  type HourInProgress,
  type HourLook,
  hourOfWeek,
  looked,
} from '../../src/domain/hour-samples.js';
import { effectivePolicy } from '../../src/domain/policy.js';
import type { TriggerFacts } from '../../src/domain/trigger-facts.js';
import { decide } from '../../src/domain/triggers.js';
import { GIB } from '../../src/domain/units.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** A Tuesday. */
const START_MS = Date.UTC(2026, 2, 10);

/** @returns what each look of so many, a minute apart, ended. */
function look(count: number, of: (n: number) => Partial<HourLook>, fromMs = START_MS) {
  let hour: HourInProgress | null = null;
  return Array.from({ length: count }, (_, n) => {
    const atMs = fromMs + n * MINUTE_MS;
    const base = { atMs, hourOfWeek: hourOfWeek('UTC', atMs), loadRatio: 0.5 };
    const given = { ...base, fragmentationRatio: 0.1, movedCount: 0, ...of(n) };
    const { now, ended } = looked(hour, given);
    hour = now;
    return ended;
  }).filter((ended) => ended !== null);
}

describe('an hour', () => {
  it('is the mean of its looks, and by how much fragmentation grew', () => {
    const ended = look(61, (n) => ({ loadRatio: n < 30 ? 0 : 1, fragmentationRatio: n / 1000 }));
    expect(ended).toEqual([
      { hourOfWeek: 24, sample: { loadRatio: 0.5, growthRatio: expect.closeTo(0.059, 9) } },
    ]);
  });

  it('tells nothing of growth when we moved something, or nothing was measured', () => {
    const growth = (of: (n: number) => Partial<HourLook>) => look(61, of)[0]?.sample.growthRatio;
    expect(growth((n) => ({ movedCount: n }))).toBeNull();
    expect(growth(() => ({ fragmentationRatio: null }))).toBeNull();
    expect(growth((n) => ({ fragmentationRatio: 1 / (n + 1) }))).toBe(0);
  });

  it('of which too little was seen counts for nothing', () => {
    expect(look(20, () => ({}), START_MS + 50 * MINUTE_MS)).toEqual([]);
    expect(look(61, () => ({ loadRatio: null }))).toEqual([]);
  });
});

it('hours of the week begin on Monday midnight, on the wall', () => {
  expect(hourOfWeek('UTC', Date.UTC(2026, 2, 9))).toBe(0);
  expect(hourOfWeek('UTC', Date.UTC(2026, 2, 8, 23, 59))).toBe(167);
  expect(hourOfWeek('Europe/Berlin', Date.UTC(2026, 2, 8, 23))).toBe(0);
  expect(hourOfWeek('America/New_York', Date.UTC(2026, 2, 9, 3))).toBe(167);
});

describe('a policy that is adaptive', () => {
  const nowMs = START_MS + 3 * HOUR_MS;
  const known = (loadRatio: number): HourKnowledge => ({ weight: 3, loadRatio, growthRatio: 0 });
  const week = (quietHour: number) =>
    Array.from({ length: HOURS_PER_WEEK }, (_, hour) => known(hour === quietHour ? 0.01 : 0.5));
  const facts = (quietHour: number, lastAgoMs: number): TriggerFacts => ({
    nowMs,
    createdAtMs: nowMs - lastAgoMs,
    space: { pool: { capacityBytes: GIB, usedBytes: 0 } },
    fragmentation: { pool: { ratio: 0.2, count: 100, asOfMs: nowMs } },
    freed: {},
    recent: [],
    passedSinceMs: {},
    openRuns: [],
    windows: { openUntilMs: null, openedAtMs: null, opensAtMs: null },
    quietUntilMs: null,
    wornTodayBytes: 0,
    payback: null,
    adaptive: { week: week(quietHour), hourOfWeek: 27, allowedHours: null },
  });
  const of = (adaptive: boolean) =>
    effectivePolicy({ preset: 'balanced', overrides: { adaptive } });
  const begins = (adaptive: boolean, quietHour: number, lastAgoMs = 12 * HOUR_MS) =>
    decide(of(adaptive), facts(quietHour, lastAgoMs)).chosen;

  it('begins before the schedule in the quietest hour, and says why', () => {
    expect(begins(false, 27)).toBeNull();
    expect(begins(true, 27)).toMatchObject({
      trigger: 'schedule',
      reason: expect.stringMatching(/^adaptive: .*usually use the devices 1 %/),
    });
  });

  it('waits for a quieter hour, but not beyond the schedule, and not right after the last one', () => {
    expect(begins(true, 30)).toBeNull();
    expect(begins(true, 30, 24 * HOUR_MS)).toMatchObject({ trigger: 'schedule' });
    expect(begins(true, 27, HOUR_MS)).toBeNull();
  });

  it('works no harder than suits the hour', () => {
    expect(decide(of(true), facts(27, 0)).intensityMax).toBe('high');
    expect(decide(of(true), facts(30, 0)).intensityMax).toBe('low');
    expect(decide(of(false), facts(30, 0)).intensityMax).toBeNull();
  });
});
