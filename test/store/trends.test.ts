/** The hours and days of a pool: exact sums, and as many rows as were promised, whatever the clock does. */

import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { DAY_MS, HOUR_MS, TREND_ROWS_MAX, type TrendFigures } from '../../src/domain/trends.js';
import { PoolStore } from '../../src/store/pool-store.js';
import { wornTodayBytes } from '../../src/store/trends.js';
import { tempDirectory } from '../support/temp-directory.js';

const BEGIN_MS = Date.UTC(2026, 0, 1);
const FIGURES: TrendFigures = {
  capacityBytes: 1000,
  usedBytes: 600,
  freeBytes: 390,
  pendingBytes: 10,
  fragmentationRatio: 0.1,
  analyzedAtMs: BEGIN_MS,
};

const open: PoolStore[] = [];
afterEach(() => {
  for (const store of open.splice(0)) store.close();
});

function newStore() {
  const time = { nowMs: BEGIN_MS };
  const path = join(tempDirectory('trends'), 'pool.sqlite');
  const store = new PoolStore(path, { create: true, clock: () => time.nowMs });
  open.push(store);
  return { store, time, path };
}

function record(store: PoolStore, nowMs: number, usedBytes = 0): void {
  store.transactionWithoutFlush(() => store.trends.record({ ...FIGURES, usedBytes }, nowMs));
}

function all(store: PoolStore, span: 'hour' | 'day') {
  return store.trends.points(span, -Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
}

describe('what is written in a day', () => {
  it('is exact from midnight to midnight of UTC, without anybody looking in between', () => {
    const { store, time } = newStore();
    const add = (atMs: number, bytes: number) => {
      time.nowMs = atMs;
      store.totals.add({ defrag_bytes_moved: bytes });
    };
    add(BEGIN_MS - 1, 1);
    add(BEGIN_MS, 10);
    add(BEGIN_MS + DAY_MS - 1, 100);
    add(BEGIN_MS + DAY_MS, 1000);
    expect(wornTodayBytes(store, BEGIN_MS - 1)).toBe(1);
    expect(wornTodayBytes(store, BEGIN_MS + 5)).toBe(110);
    expect(wornTodayBytes(store, BEGIN_MS + DAY_MS)).toBe(1000);
    expect(wornTodayBytes(store, BEGIN_MS + 2 * DAY_MS)).toBe(0);
  });

  it('counts moves of every kind, and neither repairs, nor what users store, nor trims', () => {
    const { store, time } = newStore();
    store.totals.add({ defrag_bytes_moved: 1, defrag_bytes_relocated: 2, tier_bytes_moved: 4 });
    store.totals.add({ repair_bytes: 8, put_bytes: 16, get_bytes: 32, scrub_bytes: 64 });
    store.totals.add({ trim_bytes_reclaimed: 128, trim_bytes_requested: 256 });
    expect(wornTodayBytes(store, time.nowMs)).toBe(7);
    expect(all(store, 'day')).toEqual([
      { startMs: BEGIN_MS, figures: null, rewrittenBytes: 7, reclaimedBytes: 128 },
    ]);
    expect(all(store, 'hour')).toEqual(all(store, 'day'));
  });

  it('is taken back with the transaction that counted it, and is there after a restart', () => {
    const { store, time, path } = newStore();
    store.totals.add({ defrag_bytes_moved: 5 });
    expect(() =>
      store.transaction(() => {
        store.totals.add({ defrag_bytes_moved: 7 });
        throw new Error('failed');
      }),
    ).toThrow('failed');
    store.close();
    open.length = 0;
    const again = new PoolStore(path);
    open.push(again);
    expect(wornTodayBytes(again, time.nowMs)).toBe(5);
  });

  it('sums to the total over all days, however the clock jumps', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ day: fc.integer({ min: -400, max: 400 }), bytes: fc.nat(1e12) }), {
          maxLength: 30,
        }),
        (steps) => {
          const { store, time } = newStore();
          for (const { day, bytes } of steps) {
            time.nowMs = BEGIN_MS + day * DAY_MS;
            store.totals.add({ defrag_bytes_moved: bytes });
          }
          const days = new Set(steps.map(({ day }) => day));
          const sum = [...days].reduce(
            (total, day) => total + wornTodayBytes(store, BEGIN_MS + day * DAY_MS + 7),
            0,
          );
          expect(sum).toBe(store.totals.read().defrag_bytes_moved);
        },
      ),
      { numRuns: 20 },
    );
  });
});

describe('rows', () => {
  it('are hours of 60 days and days of two years after three years of ticks', () => {
    const { store } = newStore();
    const hourCount = 3 * 365 * 24;
    store.transactionWithoutFlush(() => {
      for (let n = 0; n < hourCount; n += 1) {
        // Twice an hour: the second replaces the first.
        store.trends.record({ ...FIGURES, usedBytes: n }, BEGIN_MS + n * HOUR_MS);
        store.trends.record({ ...FIGURES, usedBytes: -n }, BEGIN_MS + n * HOUR_MS + 60_000);
      }
    });
    const hours = all(store, 'hour');
    const days = all(store, 'day');
    expect([hours.length, days.length]).toEqual([60 * 24, 2 * 366]);
    const endMs = BEGIN_MS + hourCount * HOUR_MS;
    expect(hours[0]?.startMs).toBe(endMs - 60 * DAY_MS);
    expect(hours.at(-1)?.figures?.usedBytes).toBe(-(hourCount - 1));
    expect(days[0]?.startMs).toBe(endMs - 2 * 366 * DAY_MS);
    expect(days.at(-2)?.figures?.usedBytes).toBe(-(hourCount - 25));
  });

  it('outlive a clock that was years ahead, and one that was years behind', () => {
    const { store } = newStore();
    for (let n = 0; n < 48; n += 1) record(store, BEGIN_MS + n * HOUR_MS);
    for (const wrongMs of [Date.UTC(2036, 5, 1), 0]) {
      for (let n = 0; n < 24; n += 1) record(store, wrongMs + n * HOUR_MS);
    }
    const nowMs = BEGIN_MS + 48 * HOUR_MS;
    expect(store.trends.points('hour', BEGIN_MS, nowMs)).toHaveLength(48);
    // What the wrong clock left is gone when as much was recorded since as is kept.
    store.transactionWithoutFlush(() => {
      for (let n = 0; n < TREND_ROWS_MAX.hour; n += 1) {
        store.trends.record(FIGURES, nowMs + n * HOUR_MS);
      }
    });
    const kept = all(store, 'hour');
    expect(kept).toHaveLength(TREND_ROWS_MAX.hour);
    expect(kept[0]?.startMs).toBe(nowMs);
    expect(kept.at(-1)?.startMs).toBe(nowMs + (TREND_ROWS_MAX.hour - 1) * HOUR_MS);
  });

  it('go on where they were when the clock is set back', () => {
    const { store, time } = newStore();
    record(store, BEGIN_MS + 5 * HOUR_MS, 1);
    time.nowMs = BEGIN_MS + 3 * HOUR_MS;
    store.totals.add({ trim_bytes_reclaimed: 9 });
    record(store, time.nowMs, 2);
    record(store, BEGIN_MS + 5 * HOUR_MS + 1, 3);
    const hours = store.trends.points('hour', BEGIN_MS, BEGIN_MS + DAY_MS);
    expect(hours.map((hour) => [hour.figures?.usedBytes, hour.reclaimedBytes])).toEqual([
      [2, 9],
      [3, 0],
    ]);
  });
});
