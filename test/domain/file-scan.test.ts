/** The arithmetic of scan reports. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  countClassMax,
  fragmentationRatio,
  freeRunClasses,
  gainOf,
  makeScanControl,
  SCAN_CONTROL,
  scanProgress,
  sequentialRatio,
} from '../../src/domain/file-scan.js';
import { FREE_RUN_CLASSES_BYTES } from '../../src/domain/fragmentation.js';

describe('ratios', () => {
  it('are 0 of nothing', () => {
    expect(fragmentationRatio({ fragmentedCount: 0, fileCount: 0 })).toBe(0);
    expect(sequentialRatio({ contiguousBytes: 0, allocatedBytes: 0 })).toBe(0);
  });

  it('are parts of the whole', () => {
    expect(fragmentationRatio({ fragmentedCount: 3, fileCount: 12 })).toBe(0.25);
    expect(sequentialRatio({ contiguousBytes: 30, allocatedBytes: 40 })).toBe(0.75);
  });
});

describe('gainOf', () => {
  it('is what a file has above its ideal, and never negative', () => {
    expect(gainOf({ fragmentCount: 7, idealFragmentCount: 2 })).toBe(5);
    expect(gainOf({ fragmentCount: 1, idealFragmentCount: 2 })).toBe(0);
  });
});

describe('countClassMax', () => {
  it('is the last number of a class: 1, 2, 4, 8', () => {
    expect([0, 1, 2, 3].map(countClassMax)).toEqual([1, 2, 4, 8]);
  });
});

describe('scanProgress', () => {
  it('puts the two halves together, both without a sign', () => {
    const control = makeScanControl();
    expect(scanProgress(control)).toBe(0);
    Atomics.store(control, SCAN_CONTROL.filesLow, -1);
    Atomics.store(control, SCAN_CONTROL.filesHigh, 2);
    expect(scanProgress(control)).toBe(3 * 2 ** 32 - 1);
  });
});

describe('freeRunClasses', () => {
  it('puts each log2 class where it belongs', () => {
    const runs = Array.from({ length: 32 }, (_, index) => ({ count: 1, bytes: 2 ** index }));
    const classes = freeRunClasses(runs, FREE_RUN_CLASSES_BYTES);
    expect(classes.map(({ belowBytes }) => belowBytes)).toEqual([
      ...FREE_RUN_CLASSES_BYTES.slice(0, -1),
      null,
    ]);
    expect(classes.map(({ runCount }) => runCount)).toEqual([16, 4, 2, 4, 4, 2]);
  });

  it('loses no run and no byte', () => {
    const sizes = fc.array(fc.record({ count: fc.nat(99), bytes: fc.nat() }), { maxLength: 50 });
    fc.assert(
      fc.property(sizes, (runs) => {
        const classes = freeRunClasses(runs, FREE_RUN_CLASSES_BYTES);
        const total = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
        expect(total(classes.map(({ bytes }) => bytes))).toBe(
          total(runs.map(({ bytes }) => bytes)),
        );
        expect(total(classes.map(({ runCount }) => runCount))).toBe(
          total(runs.map(({ count }) => count)),
        );
      }),
    );
  });
});
