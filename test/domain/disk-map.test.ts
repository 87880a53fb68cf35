/** The map of a disk shows every byte once, and fragments even where they are few. */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { drawDiskMap, MAP_KINDS } from '../../src/domain/disk-map.js';
import { InvariantError } from '../../src/domain/errors.js';

const pieces = fc.array(
  fc.record({ lengthBytes: fc.integer({ min: 1, max: 500 }), kind: fc.constantFrom(...MAP_KINDS) }),
  { minLength: 1 },
);

it('keeps every byte of every kind, whatever the size of the cells', () => {
  fc.assert(
    fc.property(pieces, fc.integer({ min: 1, max: 300 }), (parts, cellCount) => {
      let atBytes = 0;
      const runs = parts.map((part) => {
        const run = { ...part, startBytes: atBytes };
        atBytes += part.lengthBytes;
        return run;
      });
      const { cells, cellBytes } = drawDiskMap(atBytes, cellCount, runs.reverse());
      expect(cells.length).toBeLessThanOrEqual(cellCount);
      expect(cells.length * cellBytes).toBeGreaterThanOrEqual(atBytes);
      for (const kind of MAP_KINDS) {
        const wanted = parts.reduce((n, p) => n + (p.kind === kind ? p.lengthBytes : 0), 0);
        expect(cells.reduce((n, { bytes }) => n + bytes[kind], 0)).toBe(wanted);
      }
      for (const { bytes } of cells) {
        expect(Object.values(bytes).reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(cellBytes);
      }
    }),
  );
});

it('shows a cell by what takes most of it, but a tenth in fragments shows as fragmented', () => {
  const kindOf = (fragmentBytes: number) =>
    drawDiskMap(100, 1, [
      { startBytes: 0, lengthBytes: fragmentBytes, kind: 'fragment' },
      { startBytes: fragmentBytes, lengthBytes: 100 - fragmentBytes, kind: 'free' },
    ]).cells[0]?.kind;
  expect(kindOf(9)).toBe('free');
  expect(kindOf(10)).toBe('fragment');
});

it('refuses a run outside the disk, and a map without room', () => {
  const outside = [{ startBytes: 90, lengthBytes: 20, kind: 'free' as const }];
  expect(() => drawDiskMap(100, 10, outside)).toThrow(InvariantError);
  expect(() => drawDiskMap(0, 10, [])).toThrow(InvariantError);
  expect(() => drawDiskMap(100, 0, [])).toThrow(InvariantError);
});
