import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fastestReads, roundsAgain, type TimedRound } from '../../src/domain/timed-reads.js';
import { MIB } from '../../src/domain/units.js';

function round(...ms: number[]): TimedRound[] {
  return ms.map((one, n) => ({ key: `item-${n}`, bytes: MIB, ms: one, mark: 'm' }));
}

const msOf = (rounds: readonly TimedRound[][]) => fastestReads(rounds).map(({ ms }) => ms);

describe('the reads that count', () => {
  it('are the fastest of each source, and say of how many', () => {
    expect(fastestReads([round(5, 9), round(4, 8), round(6, 7)])).toEqual([
      { ...round(4)[0], roundCount: 3 },
      { ...round(0, 7)[1], roundCount: 3 },
    ]);
    expect(fastestReads([])).toEqual([]);
    expect(fastestReads([[]])).toEqual([]);
  });

  it('are no others when all but one round are disturbed, whichever one is not', () => {
    const times = fc.array(fc.integer({ min: 1, max: 999 }), { minLength: 1, maxLength: 9 });
    const delays = fc.array(fc.nat(999), { maxLength: 6 });
    fc.assert(
      fc.property(times, delays, fc.nat(6), (undisturbed, added, at) => {
        const rounds = added.map((delay) => round(...undisturbed.map((ms) => ms + delay)));
        rounds.splice(at, 0, round(...undisturbed));
        expect(msOf(rounds)).toEqual(undisturbed);
      }),
    );
  });

  it('are of what was read last where the content changed meanwhile', () => {
    const longer = { ...round(7)[0], bytes: 2 * MIB } as TimedRound;
    const changed = { ...longer, mark: 'other', ms: 8 };
    expect(fastestReads([round(1), [longer]])).toEqual([{ ...longer, roundCount: 1 }]);
    const last = { ...changed, ms: 9 };
    expect(fastestReads([round(1), [longer], [changed], [last]])).toEqual([
      { ...last, ms: 8, roundCount: 2 },
    ]);
  });

  it('are as many as could be read at all', () => {
    expect(fastestReads([round(3, 4), round(2), round(5, 6)])).toMatchObject([
      { ms: 2, roundCount: 3 },
      { ms: 4, roundCount: 2 },
    ]);
  });
});

describe('a second sample', () => {
  it('has no more rounds than the first, and none when those were not counted', () => {
    expect(roundsAgain(fastestReads([round(3, 4), round(2)]))).toBe(2);
    expect(roundsAgain([{ key: 'old', bytes: MIB, ms: 3, mark: '' }])).toBeNull();
    expect(roundsAgain([...fastestReads([round(3)]), { key: 'old' }])).toBeNull();
  });
});
