/** Whether a piece waits for a better place, and what Btrfs is expected to find for it. */

import { describe, expect, it } from 'vitest';
import {
  forecastFragments,
  isGoodForecast,
  isGoodPlace,
  isWorthLastTry,
} from '../../src/domain/place-forecast.js';
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

  it('puts off a piece in many fragments that would keep one of them, but for each 64 MiB', () => {
    expect([2, 3].map((after) => isGoodPlace(piece(512), after))).toEqual([true, false]);
    const smaller = { ...piece(512), allocatedBytes: 63 * MIB };
    expect([1, 2].map((after) => isGoodPlace(smaller, after))).toEqual([true, false]);
  });

  it('puts off a piece in many fragments of which the forecast leaves too many', () => {
    expect([17, 18].map((count) => isGoodForecast(piece(512), count))).toEqual([true, false]);
    expect([129, 130].map((after) => isWorthLastTry(piece(512), after))).toEqual([true, false]);
  });

  it('takes any better place at once for a piece in few fragments', () => {
    expect([14, 15].map((after) => isGoodPlace(piece(15), after))).toEqual([true, false]);
  });
});
