import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Forecast, forecastCrossing, type TimedValue } from '../../src/domain/forecast.js';
import { DAY_MS } from '../../src/domain/trends.js';

const BEGIN_MS = Date.UTC(2026, 0, 1);

/** One point a day. */
function daily(values: readonly number[]): TimedValue[] {
  return values.map((value, day) => ({ atMs: BEGIN_MS + day * DAY_MS, value }));
}

function forecast(values: readonly number[], threshold: number): Forecast {
  const points = daily(values);
  return forecastCrossing(points, threshold, points.at(-1)?.atMs ?? BEGIN_MS);
}

/** Days from the last point to the crossing. */
function daysUntil(found: Forecast, values: readonly number[]): number {
  if (found.kind !== 'passes') return Number.NaN;
  return (found.atMs - BEGIN_MS) / DAY_MS - (values.length - 1);
}

const anyValues = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 60 });

describe('a forecast', () => {
  it('names the day on which steady growth reaches the threshold', () => {
    const values = Array.from({ length: 14 }, (_, day) => 0.5 + day * 0.01);
    const found = forecast(values, 0.85);
    expect(found).toMatchObject({ kind: 'passes', perDay: expect.closeTo(0.01, 6) });
    expect(daysUntil(found, values)).toBeCloseTo(22, 6);
  });

  it('says that it has too little data before three days are known', () => {
    const enough = { kind: 'too-little-data', neededDays: 3 };
    expect(forecast([], 0.85)).toMatchObject({ ...enough, days: 0 });
    expect(forecast([0.5, 0.6, 0.7], 0.85)).toMatchObject({ ...enough, days: 2 });
    expect(forecast([0.5, 0.6, 0.7, 0.8], 0.85)).toMatchObject({ kind: 'passes' });
    // Many points of one day are no more.
    const hours = Array.from({ length: 24 }, (_, hour) => ({
      atMs: BEGIN_MS + (hour * DAY_MS) / 24,
      value: 0.5 + hour * 0.01,
    }));
    expect(forecastCrossing(hours, 0.85, BEGIN_MS + DAY_MS)).toMatchObject(enough);
  });

  it('goes on from where a reclamation left the figure, with the growth of before', () => {
    const grown = Array.from({ length: 20 }, (_, day) => 0.1 + day * 0.01);
    const values = [...grown, 0.02];
    expect(daysUntil(forecast(values, 0.32), values)).toBeCloseTo(30, 3);
  });

  it('takes a reclamation that lasted for days for one step', () => {
    const grown = Array.from({ length: 20 }, (_, day) => 0.2 + day * 0.01);
    const values = [...grown, 0.3, 0.2, 0.1, 0.11, 0.12];
    expect(daysUntil(forecast(values, 0.32), values)).toBeCloseTo(20, 3);
  });

  it('counts a weekly backup as growth', () => {
    const values = Array.from({ length: 42 }, (_, day) => 0.3 + Math.floor(day / 7) * 0.035);
    const found = forecast(values, 0.85);
    expect(found).toMatchObject({ kind: 'passes', perDay: expect.closeTo(0.005, 3) });
  });

  it('ignores what lies in the future or long ago: the clock was wrong', () => {
    const values = Array.from({ length: 14 }, (_, day) => 0.5 + day * 0.01);
    const nowMs = BEGIN_MS + 13 * DAY_MS;
    const odd = [
      { atMs: BEGIN_MS - 3000 * DAY_MS, value: 0.9 },
      ...daily(values),
      { atMs: nowMs + 3000 * DAY_MS, value: 0.9 },
    ];
    expect(forecastCrossing(odd, 0.85, nowMs)).toEqual(forecast(values, 0.85));
  });

  it('is never in the past, never without an end, and has no figure that is none', () => {
    fc.assert(
      fc.property(anyValues, fc.double({ min: 0.01, max: 1, noNaN: true }), (values, threshold) => {
        const found = forecast(values, threshold);
        const last = values.at(-1);
        expect(found.kind === 'passed').toBe(last !== undefined && last >= threshold);
        if ('perDay' in found) expect(Number.isFinite(found.perDay)).toBe(true);
        if (found.kind !== 'passes') return;
        expect(found.perDay).toBeGreaterThan(0);
        const days = daysUntil(found, values);
        expect(days).toBeGreaterThanOrEqual(0);
        expect(days).toBeLessThanOrEqual(2 * 365);
      }),
    );
  });

  it('foretells nothing of what falls, stays, or only goes up and down', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 4, max: 60 }),
        fc.double({ min: 0, max: 0.01, noNaN: true }),
        (count, fallPerDay) => {
          const values = Array.from({ length: count }, (_, day) => 0.8 - day * fallPerDay);
          expect(forecast(values, 0.85).kind).toBe('not-foreseen');
        },
      ),
    );
    const wave = Array.from({ length: 30 }, (_, day) => 0.5 + 0.05 * (day % 2));
    expect(forecast(wave, 0.85).kind).toBe('not-foreseen');
  });

  it('finds the growth in spite of noise, odd days and any reclamations in between', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 40, maxLength: 60 }),
        fc.double({ min: 0.002, max: 0.01, noNaN: true }),
        fc.uniqueArray(fc.integer({ min: 1, max: 39 }), { maxLength: 4 }),
        fc.option(fc.integer({ min: 1, max: 38 })),
        (noise, perDay, reclaimedOn, oddDay) => {
          let level = 0.5;
          const values = noise.map((share, day) => {
            level = reclaimedOn.includes(day) ? level * 0.6 : level + perDay;
            const odd = day === oddDay ? 0.02 : 0;
            return level + share * perDay * 0.2 + odd;
          });
          const found = forecast(values, level + 20 * perDay);
          expect(found).toMatchObject({ kind: 'passes' });
          const days = daysUntil(found, values);
          expect(days).toBeGreaterThan(15);
          expect(days).toBeLessThan(26);
        },
      ),
    );
  });
});
