import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  judgePayback,
  type Payback,
  pairReads,
  type RatiosSince,
  type SampledRead,
} from '../../src/domain/payback.js';
import { DAY_MS } from '../../src/domain/trends.js';
import { GIB, MIB } from '../../src/domain/units.js';

const NOW_MS = Date.UTC(2026, 5, 1);
const SAME: RatiosSince = { afterRatio: 0.05, nowRatio: 0.05 };

function read(key: string, ms: number, changes: Partial<SampledRead> = {}): SampledRead {
  return { key, bytes: MIB, ms, mark: 'm', roundCount: 6, place: `${key} at first`, ...changes };
}

/** @param gain share of the reading time that was saved; null for a run that was not measured. */
function run(runId: number, gain: number | null, changes: Partial<Payback> = {}): Payback {
  return {
    runId,
    reclamationId: runId,
    trigger: 'schedule',
    media: 'solid-state',
    startedAtMs: NOW_MS - 3_600_000,
    endedAtMs: NOW_MS,
    skippedReason: gain === null ? 'others use the disks' : null,
    figures:
      gain === null
        ? null
        : {
            ...{ itemCount: 64, droppedCount: 0, sampleBytes: 64 * MIB },
            ...{ beforeMs: 100, afterMs: 100 * (1 - gain), rewrittenBytes: GIB, busyMs: 10_000 },
          },
    ...changes,
  };
}

/** Newest first, the last one ended just now. */
function runs(...gains: (number | null)[]): Payback[] {
  return gains.map((gain, n) => run(100 - n, gain));
}

describe('a pair of reads', () => {
  it('counts what was moved and is the same; all else is in neither sum', () => {
    const moved = { place: 'elsewhere' };
    const before = ['moved', 'stayed', 'changed', 'gone', 'grown'].map((key) => read(key, 10));
    const after = [
      read('moved', 4, moved),
      read('stayed', 1),
      read('changed', 1, { ...moved, mark: 'other' }),
      read('grown', 1, { ...moved, bytes: 2 * MIB }),
      read('new', 1, moved),
    ];
    expect(pairReads(before, after)).toEqual({
      ...{ itemCount: 1, droppedCount: 4 },
      ...{ sampleBytes: MIB, beforeMs: 10, afterMs: 4 },
    });
    expect(pairReads([], after)).toMatchObject({ itemCount: 0, sampleBytes: 0 });
  });
});

describe('the verdict', () => {
  it('is unknown before two runs were measured, and says why the last one was not', () => {
    for (const some of [[], runs(0.5), runs(null, 0.5), runs(null, null, null)]) {
      const found = judgePayback(some, NOW_MS, SAME);
      expect(found).toMatchObject({ verdict: 'unknown', gainRatio: null, backsOffUntilMs: null });
    }
    expect(judgePayback(runs(null, 0.5), NOW_MS, SAME).text).toBe(
      '1 of 2 runs measured; last time: others use the disks',
    );
  });

  it('is that it pays when reading takes a tenth less, by the median of the last five', () => {
    expect(judgePayback(runs(0.5, 0.4), NOW_MS, SAME)).toMatchObject({
      ...{ verdict: 'pays', gainRatio: 0.45, runCount: 2, rewrittenBytes: 2 * GIB },
      ...{ backsOffUntilMs: null },
    });
    // One odd run decides nothing.
    expect(judgePayback(runs(0.02, -0.9, 0.03, 0.9, 0.01), NOW_MS, SAME)).toMatchObject({
      verdict: 'does-not-pay',
      gainRatio: 0.02,
    });
    expect(judgePayback(runs(0.3, 0.3, 0.3, 0, 0, 0, 0, 0, 0), NOW_MS, SAME).verdict).toBe('pays');
  });

  it('says in a sentence what was written beside what was gained, and names the media', () => {
    const { text, savedMsPerGib, readsToWinBack } = judgePayback(runs(0.02, 0.02), NOW_MS, SAME);
    // 2 ms of 64 MiB are 32 ms of a GiB, which took 10 s to move.
    expect(savedMsPerGib).toBeCloseTo(32);
    expect(readsToWinBack).toBe(313);
    expect(text).toBe(
      'reading took 2.0% less after the last 2 measured runs (32.0 ms a GB, of 128.00 MB read cold before and after, on solid-state disks); they rewrote 2.00 GB; won back after 313 reads of all',
    );
    const worse = judgePayback(runs(-0.1, -0.1), NOW_MS, SAME);
    expect(worse).toMatchObject({ verdict: 'does-not-pay', readsToWinBack: null });
    expect(worse.text).toMatch(/took 10\.0% more .* is never won back$/);
  });
});

describe('a pool on which it does not pay', () => {
  const days = (newestFirst: readonly Payback[], nowMs = NOW_MS, ratios = SAME) => {
    const { backsOffUntilMs } = judgePayback(newestFirst, nowMs, ratios);
    return backsOffUntilMs === null ? 0 : (backsOffUntilMs - nowMs) / DAY_MS;
  };

  it('is left alone for 1, 2, 4 … days after each run more, at most 30', () => {
    const waits = [2, 3, 4, 5, 6, 7, 20].map((count) => days(runs(...Array(count).fill(0.01))));
    expect(waits).toEqual([2, 4, 8, 16, 30, 30, 30]);
    expect(days([run(2, 0.01), run(1, 0.01, { trigger: 'manual' })])).toBe(1);
  });

  it('is looked at again when that time is over', () => {
    expect(days(runs(0, 0), NOW_MS + 2 * DAY_MS - 1)).toBeGreaterThan(0);
    expect(days(runs(0, 0), NOW_MS + 2 * DAY_MS)).toBe(0);
  });

  it('is not left alone any longer once it is twice as fragmented, or somebody runs it', () => {
    expect(days(runs(0, 0), NOW_MS, { afterRatio: 0.05, nowRatio: 0.099 })).toBe(2);
    expect(days(runs(0, 0), NOW_MS, { afterRatio: 0.05, nowRatio: 0.1 })).toBe(0);
    // Twice next to nothing is next to nothing.
    expect(days(runs(0, 0), NOW_MS, { afterRatio: 0, nowRatio: 0.01 })).toBe(2);
    for (const unknown of [{ afterRatio: null }, { nowRatio: null }]) {
      expect(days(runs(0, 0), NOW_MS, { ...SAME, ...unknown })).toBe(2);
    }
    expect(days([run(3, 0, { trigger: 'manual' }), ...runs(0, 0)])).toBe(0);
    expect(days([run(3, null, { trigger: 'manual' }), ...runs(0, 0)])).toBe(0);
  });

  it('never waits longer than 30 days, whatever the clock did', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.double({ min: -1, max: 1, noNaN: true }), fc.integer()), {
          maxLength: 20,
        }),
        (some) => {
          const past = some.map(([gain, endedAtMs], n) => run(100 - n, gain, { endedAtMs }));
          const wait = days(past);
          expect(wait).toBeGreaterThanOrEqual(0);
          expect(wait).toBeLessThanOrEqual(30);
        },
      ),
    );
  });
});
