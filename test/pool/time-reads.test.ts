/** Rounds of reads by a clock of the test: how many there are, when, and which of them count. */

import { expect, it } from 'vitest';
import { MOVE_STOP, makeMoveControl } from '../../src/domain/move-tasks.js';
import { MIB } from '../../src/domain/units.js';
import { readInRounds } from '../../workers/time-reads.js';

const KEYS = ['a', 'b', 'c'];

/**
 * Reads three sources in at most five rounds, 100 ms apart, within 1 s.
 *
 * @param readMs how long a read takes, by round and source.
 */
function rounds(readMs: (round: number, index: number) => number, roundCount = 5) {
  const beganAtMs: number[] = [];
  const stopFlag = makeMoveControl();
  let nowMs = 0;
  let readCount = 0;
  const limits = { roundCount, roundEveryMs: 100, durationMsMax: 1_000, stopFlag };
  const sources = KEYS.map((key) => ({ kind: 'file', key }) as const);
  const clock = {
    nowMs: () => nowMs,
    pause: (ms: number) => {
      nowMs += ms;
    },
  };
  const read = ({ key }: { readonly key: string }) => {
    const index = readCount % KEYS.length;
    if (index === 0) beganAtMs.push(nowMs);
    const ms = readMs(Math.floor(readCount / KEYS.length), index);
    readCount += 1;
    nowMs += ms;
    if (ms < 0) Atomics.store(stopFlag, MOVE_STOP, 1);
    return { key, bytes: MIB, ms, mark: '' };
  };
  const reply = readInRounds({ sources, ...limits }, read, clock);
  const ms = reply.reads.map((one) => one.ms);
  const counts = reply.reads.map((one) => one.roundCount);
  return { ms, counts, beganAtMs, stopped: reply.stopped };
}

it('tells the same whichever one round is slow', () => {
  const undisturbed = rounds((_, index) => 5 + index);
  expect(undisturbed).toMatchObject({ ms: [5, 6, 7], counts: [5, 5, 5] });
  for (const slow of [0, 1, 2, 3, 4]) {
    const { ms, counts } = rounds((round, index) => (round === slow ? 80 : 5 + index));
    expect({ ms, counts }).toEqual({ ms: undisturbed.ms, counts: undisturbed.counts });
  }
});

it('keeps the begins of rounds apart, and waits for none that took longer', () => {
  expect(rounds(() => 10).beganAtMs).toEqual([0, 100, 200, 300, 400]);
  expect(rounds(() => 50).beganAtMs).toEqual([0, 150, 300, 450, 600]);
});

it('counts whole rounds when the time is over, of the first whatever there is', () => {
  // The fourth would end after 1.17 s, and its reads were the fastest of all.
  const { ms, counts } = rounds((round) => (round === 3 ? 90 : 100));
  expect({ ms, counts }).toEqual({ ms: [100, 100, 100], counts: [3, 3, 3] });
  expect(rounds(() => 600)).toMatchObject({ ms: [600, 600], counts: [1, 1] });
});

it('reads no more often than it is told', () => {
  expect(rounds((round) => 10 - round, 2)).toMatchObject({ ms: [9, 9, 9], counts: [2, 2, 2] });
});

it('says nothing once it is stopped', () => {
  const stopped = rounds((round) => (round === 1 ? -1 : 10));
  expect(stopped).toMatchObject({ ms: [], stopped: true });
});
