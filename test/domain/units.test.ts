/** Sizes as users write and read them, and the rounding that everything else rests on. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatBytes,
  GIB,
  KIB,
  MIB,
  parseSizeBytes,
  roundDown,
  roundUp,
  TIB,
} from '../../src/domain/units.js';

describe('parseSizeBytes', () => {
  it.each([
    ['4096', 4096],
    ['64K', 64 * KIB],
    ['64k', 64 * KIB],
    ['4MiB', 4 * MIB],
    ['4 MB', 4 * MIB],
    ['1.5G', 1.5 * GIB],
    ['2TB', 2 * TIB],
    [' 10 B ', 10],
  ])('reads %j', (text, sizeBytes) => {
    expect(parseSizeBytes(text)).toBe(sizeBytes);
  });

  it.each(['', '0', '-1', '1e3', 'K', '4X', '1.G', '0.1', '9999999T', 'NaN', '1 2'])(
    'refuses %j and says how to write it',
    (text) => {
      const error = { code: 'ERR_USAGE', nextStep: expect.stringContaining('512M') };
      expect(() => parseSizeBytes(text)).toThrow(expect.objectContaining(error));
    },
  );
});

it.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.00 KB'],
  [524_288_000, '500.00 MB'],
  [1.5 * GIB, '1.50 GB'],
  [2 ** 60, '1024.00 PB'],
  [-2048, '-2.00 KB'],
])('formatBytes prints %d as %s', (sizeBytes, text) => {
  expect(formatBytes(sizeBytes)).toBe(text);
});

it('rounding gives the nearest multiple on each side, and leaves multiples alone', () => {
  const values = [
    fc.integer({ min: 0, max: 2 ** 40 }),
    fc.integer({ min: 1, max: 2 ** 20 }),
  ] as const;
  fc.assert(
    fc.property(...values, (value, step) => {
      const [down, up] = [roundDown(value, step), roundUp(value, step)];
      expect(down % step).toBe(0);
      expect(up % step).toBe(0);
      expect(down <= value && value <= up && up - down <= step).toBe(true);
      expect(roundUp(down, step)).toBe(down);
    }),
  );
});
