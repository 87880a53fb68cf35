/** Which piece of a file is moved. */

import { describe, expect, it } from 'vitest';
import {
  choosePiece,
  flagsOf,
  fragmentsOf,
  guardFile,
  guardMappings,
  MAPPING_FLAG,
  rangesOf,
  wholePiece,
} from '../../src/domain/move-plan.js';
import { KIB, MIB } from '../../src/domain/units.js';

type Mapping = readonly [logical: number, physical: number, length: number, flags?: number];

function records(...mappings: readonly Mapping[]): Float64Array {
  return Float64Array.from(mappings.flatMap(([a, b, c, flags = 0]) => [a, b, c, flags]));
}

/** Fragments of one size, none touching another on the disk. */
function scattered(count: number, lengthBytes: number): Float64Array {
  return records(
    ...Array.from(
      { length: count },
      (_, index): Mapping => [index * lengthBytes, index * 3 * lengthBytes, lengthBytes],
    ),
  );
}

describe('fragments', () => {
  it('join mappings that touch in the file and on the disk, written or not', () => {
    const touching = records([0, 100, 10], [10, 110, 10, MAPPING_FLAG.unwritten], [20, 200, 5]);
    expect(fragmentsOf(touching).map(({ lengthBytes }) => lengthBytes)).toEqual([20, 5]);
  });

  it('end at a hole, even where the blocks touch on the disk', () => {
    expect(fragmentsOf(records([0, 100, 10], [20, 110, 10]))).toHaveLength(2);
  });
});

describe('the piece that is moved', () => {
  it('is nothing for a file whose only gaps are holes', () => {
    const sparse = fragmentsOf(records([0, 100, 10], [20, 500, 10]));
    expect(choosePiece(sparse, 0, MIB)).toBeNull();
    expect(wholePiece(sparse)).toBeNull();
  });

  it('leaves out fragments of the target size', () => {
    const large = 64 * MIB;
    const mixed = fragmentsOf(
      records([0, 0, large], [large, 10 * large, KIB], [large + KIB, 20 * large, KIB]),
    );
    expect(choosePiece(mixed, 0, 128 * MIB)).toMatchObject({
      startBytes: large,
      lengthBytes: 2 * KIB,
      fragmentCount: 2,
    });
  });

  it('ends at its limit, and the next one begins there', () => {
    const fragments = fragmentsOf(scattered(10, 40));
    expect(choosePiece(fragments, 0, 100)).toMatchObject({ startBytes: 0, lengthBytes: 100 });
    expect(choosePiece(fragments, 100, 100)).toMatchObject({ startBytes: 100, lengthBytes: 100 });
    expect(choosePiece(fragments, 400, 100)).toBeNull();
  });

  it('covers every fragment once, wherever pieces end', () => {
    const fragments = fragmentsOf(scattered(57, 13));
    let movedBytes = 0;
    for (let at = 0; ; ) {
      const piece = choosePiece(fragments, at, 100);
      if (!piece) break;
      expect(piece.startBytes).toBeGreaterThanOrEqual(at);
      at = piece.startBytes + piece.lengthBytes;
      movedBytes += piece.allocatedBytes;
    }
    expect(movedBytes).toBe(57 * 13);
  });
});

describe('ranges of content', () => {
  it('leave out holes and what was never written, and are cut to the piece', () => {
    const file = records([0, 9, 10], [10, 90, 10, MAPPING_FLAG.unwritten], [30, 70, 10]);
    const piece = { startBytes: 5, lengthBytes: 30 };
    expect(rangesOf(file, piece, true)).toEqual([
      { startBytes: 5, lengthBytes: 5 },
      { startBytes: 30, lengthBytes: 5 },
    ]);
    expect(rangesOf(file, piece, false)).toEqual([
      { startBytes: 5, lengthBytes: 15 },
      { startBytes: 30, lengthBytes: 5 },
    ]);
  });
});

describe('guards', () => {
  const file = {
    isRegularFile: true,
    sizeBytes: 10,
    changedMsAgo: 5000,
    attributes: 0,
    isSwapFile: false,
    isOptedOut: false,
  };

  it('let an ordinary file pass', () => {
    expect(guardFile(file, 1000)).toBeNull();
  });

  it.each([
    ['not-a-regular-file', { isRegularFile: false }],
    ['immutable', { attributes: 0x10 }],
    ['append-only', { attributes: 0x20 }],
    ['encrypted', { attributes: 0x800 }],
    ['verity', { attributes: 0x100000 }],
    ['dax', { attributes: 0x200000 }],
    ['swap-file', { isSwapFile: true }],
    ['opted-out', { isOptedOut: true }],
    ['just-written', { changedMsAgo: 10 }],
    ['just-written', { changedMsAgo: -10 }],
    ['contiguous', { sizeBytes: 0 }],
  ])('say %s', (reason, change) => {
    expect(guardFile({ ...file, ...change }, 1000)).toBe(reason);
  });

  it.each([
    ['shared', MAPPING_FLAG.shared],
    ['compressed', MAPPING_FLAG.encoded],
    ['inline', MAPPING_FLAG.inline],
    ['just-written', MAPPING_FLAG.delayed],
  ])('say %s for the flag of a single mapping', (reason, flag) => {
    const flags = flagsOf(records([0, 0, 10], [10, 50, 10, flag], [20, 90, 10]));
    expect(guardMappings(flags, false)).toBe(reason);
  });
});
