/** Whether a piece waits for a better place, and what Btrfs is expected to find for it. */

import { describe, expect, it } from 'vitest';
import {
  forecastFragments,
  isBadPlace,
  isGoodForecast,
  isGoodPlace,
  LAST_PLACE_TRY,
  SECOND_MOVE_TRY,
} from '../../src/domain/place-forecast.js';
import { PlaceQueue } from '../../src/domain/place-queue.js';
import { KIB, MIB } from '../../src/domain/units.js';

const EMPTY = { count: 0, bytes: 0 };

function piece(fragmentCount: number) {
  return {
    startBytes: 0,
    lengthBytes: 64 * MIB,
    allocatedBytes: 64 * MIB,
    fragmentCount,
    idealFragmentCount: 1,
  };
}

describe('the forecast of a place', () => {
  const free = {
    largestBytes: 8 * MIB,
    runs: [{ count: 100, bytes: 100 * 64 * KIB }, EMPTY, { count: 2, bytes: 12 * MIB }],
  };

  it('is one fragment where the largest free run has room', () => {
    expect(forecastFragments(free, 8 * MIB)).toBe(1);
  });

  it('counts the large runs first, then the smaller ones', () => {
    expect(forecastFragments(free, 12 * MIB)).toBe(2);
    expect(forecastFragments(free, 13 * MIB)).toBe(2 + 16);
  });

  it('is no place at all where there is less space', () => {
    expect(forecastFragments(free, 19 * MIB)).toBe(Number.POSITIVE_INFINITY);
  });

  it('takes a whole place only for a piece in many fragments, but for one more for each 64 MiB', () => {
    expect([2, 3].map((after) => isGoodPlace(piece(512), after, 0))).toEqual([true, false]);
    const smaller = { ...piece(512), allocatedBytes: 63 * MIB };
    expect([1, 2].map((after) => isGoodPlace(smaller, after, 0))).toEqual([true, false]);
  });

  it('asks less of a place with each try, and at the last only that it is better', () => {
    const smaller = { ...piece(512), allocatedBytes: 32 * MIB };
    const most = [1, 17, 129, 511];
    for (const [at, after] of most.entries()) {
      expect(isGoodPlace(smaller, after, at + 1)).toBe(true);
      expect(isGoodPlace(smaller, after + 1, at + 1)).toBe(false);
    }
    expect(most).toHaveLength(LAST_PLACE_TRY);
  });

  it('has nothing written for a place that is only a forecast and leaves a quarter or more', () => {
    const most = [17, 1, 17, 129, 129, 17];
    for (const [placeTry, count] of most.entries()) {
      expect(isGoodForecast(piece(512), count, placeTry)).toBe(true);
      expect(isGoodForecast(piece(512), count + 1, placeTry)).toBe(false);
    }
    expect(most).toHaveLength(SECOND_MOVE_TRY + 1);
  });

  it('takes any better place at once for a piece in few fragments', () => {
    expect([14, 15].map((after) => isGoodPlace(piece(15), after, 0))).toEqual([true, false]);
  });
});

describe('files without a place', () => {
  it('are all tried for a better place before any takes a worse one', () => {
    const queue = new PlaceQueue<string>();
    queue.put(['a', 'b'], 0);
    const tries: string[] = [];
    for (let next = queue.take(); next; next = queue.take()) {
      tries.push(`${next.file}${next.placeTry}`);
      if (next.placeTry < LAST_PLACE_TRY) queue.put([next.file], next.placeTry);
    }
    expect(tries).toEqual(['a1', 'b1', 'a2', 'b2', 'a3', 'b3', 'a4', 'b4']);
  });

  it('are moved once more at the very end, if they took a bad place', () => {
    const queue = new PlaceQueue<string>();
    queue.put(['bad'], LAST_PLACE_TRY);
    queue.put(['other'], LAST_PLACE_TRY - 1);
    expect(queue.take()).toEqual({ file: 'other', placeTry: LAST_PLACE_TRY });
    expect(queue.take()).toEqual({ file: 'bad', placeTry: SECOND_MOVE_TRY });
    const small = { ...piece(6), allocatedBytes: MIB };
    expect([1, 2].map((after) => isGoodPlace(small, after, SECOND_MOVE_TRY))).toEqual([
      true,
      false,
    ]);
    expect([3, 4].map(isBadPlace)).toEqual([false, true]);
  });

  it('are tried once when there are very many of them', () => {
    const queue = new PlaceQueue<number>();
    queue.put(
      Array.from({ length: 300 }, (_, n) => n),
      0,
    );
    expect(queue.files()).toHaveLength(300);
    const tries = Array.from({ length: 300 }, () => queue.take()?.placeTry);
    expect(tries.filter((one) => one === 1)).toHaveLength(256);
    expect(tries.filter((one) => one === LAST_PLACE_TRY)).toHaveLength(44);
    expect(queue.take()).toBeNull();
  });
});
