/** Properties of the governor over whole histories of load: it has no other state than what it returns. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { INTENSITIES } from '../../src/domain/defrag-plan.js';
import {
  defaultBounds,
  type Governing,
  type GovernorBounds,
  govern,
  LOOKING,
  type LoadSample,
  SAMPLE_EVERY_MS,
  YIELD_RATIO,
} from '../../src/domain/governor.js';
import { dutyOf, paceOf, restAfterMs } from '../../src/domain/governor-pace.js';
import { RUN_KINDS } from '../../src/domain/runs.js';
import { KIB, MIB } from '../../src/domain/units.js';

const QUIET: LoadSample = {
  durationMs: SAMPLE_EVERY_MS.full,
  readCount: 0,
  writeCount: 0,
  readBytes: 0,
  writeBytes: 0,
  waitedMs: 0,
  busyRatio: 0,
  ownReadBytes: 0,
  ownWriteBytes: 0,
  stallRatio: 0,
};
/** 1,000 reads of 4 KiB a second, 0.2 ms each. */
const OTHERS = { ...QUIET, readCount: 100, readBytes: 400 * KIB, waitedMs: 20, busyRatio: 0.2 };
const BALANCED = defaultBounds('medium');

const samples = fc.array(
  fc.record({
    durationMs: fc.integer({ min: 1, max: 1_000 }),
    readCount: fc.nat({ max: 10_000 }),
    writeCount: fc.nat({ max: 10_000 }),
    readBytes: fc.nat({ max: 100 * MIB }),
    writeBytes: fc.nat({ max: 100 * MIB }),
    waitedMs: fc.nat({ max: 100_000 }),
    busyRatio: fc.double({ min: 0, max: 1, noNaN: true }),
    ownReadBytes: fc.nat({ max: 100 * MIB }),
    ownWriteBytes: fc.nat({ max: 100 * MIB }),
    stallRatio: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
  }),
  { maxLength: 60 },
);
const bounds: fc.Arbitrary<GovernorBounds> = fc.record({
  sloMs: fc.option(fc.double({ min: 0.01, max: 100, noNaN: true })),
  pauseOnHighLoad: fc.boolean(),
  intensity: fc.constantFrom(...INTENSITIES),
});

function outcomeOf(
  history: readonly LoadSample[],
  asked: GovernorBounds,
  from = LOOKING,
): Governing {
  return history.reduce((now, sample) => govern(now, sample, asked), from);
}

function times(count: number, sample: LoadSample): LoadSample[] {
  return Array.from({ length: count }, () => sample);
}

/** For so long, looking as often as it does. @param sample of 100 ms. */
function lived(spanMs: number, sample: LoadSample, from: Governing): Governing {
  let now = from;
  for (let atMs = 0; atMs < spanMs; atMs += SAMPLE_EVERY_MS[now.state]) {
    const durationMs = SAMPLE_EVERY_MS[now.state];
    const part = durationMs / sample.durationMs;
    const { readCount, readBytes, waitedMs } = sample;
    const seen = {
      readCount: readCount * part,
      readBytes: readBytes * part,
      waitedMs: waitedMs * part,
    };
    now = govern(now, { ...sample, ...seen, durationMs }, BALANCED);
  }
  return now;
}

describe('the governor', () => {
  it('never lets more be done than its state allows, whatever happened', () => {
    fc.assert(
      fc.property(samples, bounds, (history, asked) => {
        const { state, paceRatio } = outcomeOf(history, asked);
        if (state === 'looking' || state === 'paused') expect(paceRatio).toBe(0);
        else if (state === 'full') expect(paceRatio).toBe(1);
        else {
          expect(paceRatio).toBeGreaterThan(0);
          expect(paceRatio).toBeLessThanOrEqual(YIELD_RATIO[asked.intensity]);
        }
      }),
    );
  });

  it('gives way to others within twelve samples, whatever it did and saw before', () => {
    fc.assert(
      fc.property(samples, bounds, (history, asked) => {
        const { state } = outcomeOf([...history, ...times(12, OTHERS)], asked);
        expect(['yielding', 'paused']).toContain(state);
      }),
    );
  });

  it('works at full pace within four seconds after they are gone, whatever happened before', () => {
    fc.assert(
      fc.property(samples, bounds, (history, asked) => {
        expect(outcomeOf([...history, ...times(40, QUIET)], asked).state).toBe('full');
      }),
    );
  });

  it('does not take its own work for that of others, also where the device lags behind', () => {
    const work = fc.array(fc.nat({ max: 16 * MIB }), { minLength: 1, maxLength: 100 });
    fc.assert(
      fc.property(work, fc.boolean(), (own, isLate) => {
        const start = outcomeOf(times(2, QUIET), BALANCED);
        let now = start;
        for (const [index, bytes] of own.entries()) {
          const done = isLate
            ? Math.floor((own[index - 1] ?? 0) / 4) + Math.floor(bytes / 4)
            : bytes;
          now = govern(
            now,
            {
              ...QUIET,
              readCount: 10,
              readBytes: done,
              ownReadBytes: bytes,
              writeCount: 10,
              writeBytes: Math.floor(done * 1.2),
              ownWriteBytes: bytes,
              busyRatio: 1,
              stallRatio: 1,
              waitedMs: 1_000,
            },
            BALANCED,
          );
          expect(now.state).toBe('full');
        }
      }),
    );
  });

  it('never pauses a run that asked for neither an SLO nor a pause on high load', () => {
    fc.assert(
      fc.property(samples, (history) => {
        const asked = { sloMs: null, pauseOnHighLoad: false, intensity: 'high' } as const;
        expect(outcomeOf(history, asked).state).not.toBe('paused');
      }),
    );
  });

  it('yields within 300 ms of the first requests of others to a device that was quiet', () => {
    const alone = outcomeOf(times(20, QUIET), BALANCED);
    expect(outcomeOf(times(2, OTHERS), BALANCED, alone).state).toBe('full');
    expect(outcomeOf(times(3, OTHERS), BALANCED, alone).state).toBe('yielding');
  });

  it('pauses within a second when the devices have as much as they can do', () => {
    const busy = outcomeOf(times(10, OTHERS), BALANCED);
    expect(busy).toMatchObject({ state: 'yielding', cause: 'others-at-work' });
    const full = outcomeOf(times(10, { ...OTHERS, busyRatio: 1 }), BALANCED, busy);
    expect(full).toMatchObject({ state: 'paused', cause: 'device-saturated' });
    const stalled = { ...OTHERS, busyRatio: 0.6, stallRatio: 0.9 };
    expect(outcomeOf(times(10, stalled), BALANCED, busy)).toMatchObject({ cause: 'io-pressure' });
  });

  it('keeps these times although it looks seldom while it hardly works', () => {
    const alone = lived(1_000, QUIET, LOOKING);
    expect(alone.state).toBe('full');
    const yielding = lived(300, OTHERS, alone);
    expect(yielding.state).toBe('yielding');
    const paused = lived(1_000, { ...OTHERS, busyRatio: 1 }, lived(2_000, OTHERS, yielding));
    expect(paused).toMatchObject({ state: 'paused', cause: 'device-saturated' });
    expect(lived(1_000, QUIET, yielding).state).toBe('full');
    expect(lived(2_500, QUIET, paused).state).toBe('paused');
    expect(lived(4_000, QUIET, paused).state).toBe('full');
  });

  it('keeps to an SLO: less near it, nothing above it, and back only well below it for seconds', () => {
    const asked = { ...BALANCED, sloMs: 1 };
    const slow = (waitedMs: number) => ({ ...OTHERS, waitedMs });
    const calm = outcomeOf(times(10, OTHERS), asked);
    expect(calm.paceRatio).toBe(YIELD_RATIO.medium);
    const near = outcomeOf(times(10, slow(80)), asked, calm);
    expect(near.state).toBe('yielding');
    expect(near.paceRatio).toBeLessThan(YIELD_RATIO.medium / 4);
    const missed = outcomeOf(times(10, slow(200)), asked, near);
    expect(missed).toMatchObject({ state: 'paused', cause: 'slo-missed', paceRatio: 0 });
    expect(outcomeOf(times(100, slow(80)), asked, missed).state).toBe('paused');
    expect(outcomeOf(times(20, slow(20)), asked, missed).state).toBe('paused');
    expect(outcomeOf(times(40, slow(20)), asked, missed).state).toBe('yielding');
  });

  it('says so, and works at the pace of the intensity alone, where the machine tells nothing', () => {
    const blind = govern(outcomeOf(times(5, OTHERS), BALANCED), 'no-figures', BALANCED);
    expect(blind).toMatchObject({ state: 'fixed', cause: 'no-figures', paceRatio: 1 });
    expect(outcomeOf(times(2, OTHERS), BALANCED, blind).state).toBe('yielding');
  });
});

describe('the pace of a run', () => {
  it('is a share only where data is moved; all else keeps its own pace, and pauses as they do', () => {
    for (const kind of RUN_KINDS) {
      const yields = kind === 'defrag' || kind === 'tier';
      expect(paceOf(kind, YIELD_RATIO.medium)).toBe(yields ? YIELD_RATIO.medium : 1);
      expect(paceOf(kind, 0)).toBe(0);
      expect(paceOf(kind, 1)).toBe(1);
    }
  });
});

describe('the rest of a thread', () => {
  it('makes its work the share of the time that the governor gave to all of its run', () => {
    const duties = fc.record({
      paceRatio: fc.double({ min: 0.0001, max: 0.9999, noNaN: true }),
      laneCount: fc.integer({ min: 1, max: 64 }),
      workMs: fc.double({ min: 0.001, max: 100, noNaN: true }),
    });
    fc.assert(
      fc.property(duties, ({ paceRatio, laneCount, workMs }) => {
        const restMs = restAfterMs(workMs, dutyOf(paceRatio, laneCount));
        expect(restMs).toBeLessThanOrEqual(30_000);
        if (restMs < 30_000) {
          const share = workMs / (workMs + restMs);
          expect(Math.abs(share - paceRatio / laneCount)).toBeLessThan(2e-6);
        }
      }),
    );
    expect(restAfterMs(5, dutyOf(1, 4))).toBe(0);
    expect(restAfterMs(0, dutyOf(0, 4))).toBe(30_000);
  });
});
