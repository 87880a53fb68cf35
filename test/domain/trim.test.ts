/** What a trim asks for lies inside what is pending, in whole granules; and when one is due. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvariantError } from '../../src/domain/errors.js';
import { planTrim, wholeBlocks } from '../../src/domain/trim-plan.js';
import {
  discardRetryDelayMs,
  TRIM_INTENSITIES,
  TRIM_SCHEDULES,
  trimDue,
} from '../../src/domain/trim-schedule.js';
import { type ByteRun, GIB, MIB, totalBytes } from '../../src/domain/units.js';

/** Sorted and disjoint, some of them neighbours. */
const runs = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 1, max: 60 })))
  .map((pairs) => {
    let atBytes = 0;
    return pairs.map(([gapBytes, lengthBytes]) => {
      const startBytes = atBytes + gapBytes;
      atBytes = startBytes + lengthBytes;
      return { startBytes, lengthBytes };
    });
  });

function contains(all: readonly ByteRun[], byte: number): boolean {
  return all.some(
    ({ startBytes, lengthBytes }) => byte >= startBytes && byte < startBytes + lengthBytes,
  );
}

describe('planTrim', () => {
  it('stays inside the runs, on granules, and accounts for every byte', () => {
    fc.assert(
      fc.property(runs, fc.integer({ min: 1, max: 32 }), (pending, granularityBytes) => {
        const plan = planTrim(pending, granularityBytes);
        expect(plan.plannedBytes + plan.skippedBytes).toBe(totalBytes(pending));
        expect(totalBytes(plan.ranges)).toBe(plan.plannedBytes);
        let lastEnd = -1;
        for (const { startBytes, lengthBytes } of plan.ranges) {
          expect(startBytes % granularityBytes).toBe(0);
          expect(lengthBytes % granularityBytes).toBe(0);
          expect(lengthBytes).toBeGreaterThan(0);
          // Ranges that touch would have been one.
          expect(startBytes).toBeGreaterThan(lastEnd);
          lastEnd = startBytes + lengthBytes;
          for (let at = startBytes; at < lastEnd; at += 1) expect(contains(pending, at)).toBe(true);
        }
      }),
    );
  });

  it('begins granules where the device does, and asks for nothing that frees no block', () => {
    const shape = fc.record({
      granularityBytes: fc.integer({ min: 1, max: 32 }),
      alignmentBytes: fc.nat({ max: 31 }),
      blockBytes: fc.integer({ min: 1, max: 16 }),
    });
    fc.assert(
      fc.property(runs, shape, (pending, { granularityBytes, alignmentBytes, blockBytes }) => {
        const alignment = alignmentBytes % granularityBytes;
        const plan = planTrim(pending, granularityBytes, alignment, blockBytes);
        expect(plan.plannedBytes + plan.skippedBytes).toBe(totalBytes(pending));
        for (const range of plan.ranges) {
          expect(range.startBytes % granularityBytes).toBe(alignment);
          expect(range.lengthBytes % granularityBytes).toBe(0);
          const endBytes = range.startBytes + range.lengthBytes;
          for (let at = range.startBytes; at < endBytes; at += 1) {
            expect(contains(pending, at)).toBe(true);
          }
          const freed = wholeBlocks(range, blockBytes);
          expect(freed.lengthBytes).toBeGreaterThan(0);
          expect(freed.startBytes % blockBytes).toBe(0);
          expect(freed.lengthBytes % blockBytes).toBe(0);
          expect(freed.startBytes).toBeGreaterThanOrEqual(range.startBytes);
          expect(freed.startBytes + freed.lengthBytes).toBeLessThanOrEqual(endBytes);
          expect(range.lengthBytes - freed.lengthBytes).toBeLessThan(2 * blockBytes);
        }
      }),
    );
  });

  it('leaves out no granule that is pending as a whole', () => {
    fc.assert(
      fc.property(runs, fc.integer({ min: 1, max: 32 }), (pending, granularityBytes) => {
        const { ranges } = planTrim(pending, granularityBytes);
        const last = pending.at(-1);
        const endBytes = last ? last.startBytes + last.lengthBytes : 0;
        for (let at = 0; at < endBytes; at += granularityBytes) {
          const granule = Array.from({ length: granularityBytes }, (_, n) => at + n);
          const isPending = granule.every((byte) => contains(pending, byte));
          expect(contains(ranges, at)).toBe(isPending);
        }
      }),
    );
  });

  it('refuses runs that overlap or are out of order, and no granularity', () => {
    const overlapping = [
      { startBytes: 0, lengthBytes: 10 },
      { startBytes: 5, lengthBytes: 10 },
    ];
    expect(() => planTrim(overlapping, 1)).toThrow(InvariantError);
    expect(() => planTrim([], 0)).toThrow(InvariantError);
  });
});

describe('trimDue', () => {
  const DAY_MS = 24 * 60 * 60 * 1000;

  it.each(TRIM_INTENSITIES)('%s: by threshold, by schedule, or not', (intensity) => {
    const { pendingBytesMin, intervalMs } = TRIM_SCHEDULES[intensity];
    expect(trimDue(intensity, pendingBytesMin, 0, 1)).toBe('threshold');
    expect(trimDue(intensity, pendingBytesMin - 1, 0, intervalMs - 1)).toBeNull();
    expect(trimDue(intensity, 1, 0, intervalMs)).toBe('schedule');
    expect(trimDue(intensity, 0, 0, 100 * intervalMs)).toBeNull();
  });

  it('is as eager as the names say', () => {
    expect(TRIM_SCHEDULES).toEqual({
      conservative: { pendingBytesMin: 10 * GIB, intervalMs: 7 * DAY_MS },
      balanced: { pendingBytesMin: GIB, intervalMs: DAY_MS },
      aggressive: { pendingBytesMin: 10 * MIB, intervalMs: DAY_MS / 24 },
    });
  });

  it('a failed range waits a minute, then twice as long each time, at most a day', () => {
    expect([1, 2, 3, 4].map(discardRetryDelayMs)).toEqual([60_000, 120_000, 240_000, 480_000]);
    expect(discardRetryDelayMs(50)).toBe(DAY_MS);
    expect(discardRetryDelayMs(5000)).toBe(DAY_MS);
  });
});
