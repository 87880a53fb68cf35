/** Heat decays for all extents alike: who is hotter stays hotter until somebody reads. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HEAT_HALF_LIFE_MS, heatAt, heatTier, touched } from '../../src/domain/heat.js';

const NOW_MS = 1_700_000_000_000;
const DAY_MS = 24 * 60 * 60 * 1000;
const moments = fc.array(fc.integer({ min: 0, max: 60 * DAY_MS }), { minLength: 1, maxLength: 20 });

function scoreAfter(offsetsMs: readonly number[]): number {
  let score: number | null = null;
  for (const offsetMs of [...offsetsMs].sort((a, b) => a - b)) {
    score = touched(score, NOW_MS + offsetMs);
  }
  return score ?? Number.NaN;
}

describe('heat', () => {
  it('is zero for what was never read, and one right after the first access', () => {
    expect(heatAt(null, NOW_MS)).toBe(0);
    expect(heatAt(touched(null, NOW_MS), NOW_MS)).toBeCloseTo(1, 6);
  });

  it('halves in a day', () => {
    const score = touched(null, NOW_MS, 8);
    expect(heatAt(score, NOW_MS + HEAT_HALF_LIFE_MS)).toBeCloseTo(4, 6);
    expect(heatAt(score, NOW_MS + 3 * HEAT_HALF_LIFE_MS)).toBeCloseTo(1, 6);
  });

  it('keeps its order at every later moment, without any update', () => {
    fc.assert(
      fc.property(moments, moments, fc.integer({ min: 60, max: 400 }), (one, two, days) => {
        const [a, b] = [scoreAfter(one), scoreAfter(two)];
        const laterMs = NOW_MS + days * DAY_MS;
        expect(Math.sign(heatAt(a, laterMs) - heatAt(b, laterMs))).toBe(Math.sign(a - b));
      }),
    );
  });

  it('goes up with every access, by just one', () => {
    fc.assert(
      fc.property(moments, (offsetsMs) => {
        const nowMs = NOW_MS + 61 * DAY_MS;
        const score = scoreAfter(offsetsMs);
        const more = heatAt(touched(score, nowMs), nowMs) - heatAt(score, nowMs);
        expect(more).toBeCloseTo(1, 5);
      }),
    );
  });

  it.each([
    [8, 0, 'hot'],
    [4.0001, 0, 'hot'],
    [3.9, 0, 'warm'],
    [8, 1.01, 'warm'],
    [0.51, 0, 'warm'],
    [1, 1.01, 'cold'],
  ] as const)('%d accesses %d days ago are %s', (accesses, days, tier) => {
    expect(heatTier(touched(null, NOW_MS, accesses), NOW_MS + days * DAY_MS)).toBe(tier);
    expect(heatTier(null, NOW_MS)).toBe('cold');
  });
});
