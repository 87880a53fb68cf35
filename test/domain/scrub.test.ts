/** How a scrub shares out what it reads, by hand-made edges and random sizes. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planSweeps, splitTasks, sweepsAhead } from '../../src/domain/scrub.js';
import { KIB, MIB } from '../../src/domain/units.js';

const run = (startBytes: number, lengthBytes: number) => ({ startBytes, lengthBytes });
const itemsOf = (sizesBytes: readonly number[]) =>
  sizesBytes.map((lengthBytes) => ({ runs: [run(0, lengthBytes)] }));

describe('splitTasks', () => {
  it('gives two threads half of it each', () => {
    const items = itemsOf(Array.from({ length: 64 }, () => 4 * MIB));
    expect(splitTasks(items, 2).map((task) => task.length)).toEqual([32, 32]);
  });

  it('makes no task much larger than 256 MiB, however few threads there are', () => {
    const items = itemsOf(Array.from({ length: 10 }, () => 64 * MIB));
    expect(splitTasks(items, 1).map((task) => task.length)).toEqual([4, 4, 2]);
  });

  it('has nothing to share out of nothing', () => {
    expect(splitTasks([], 2)).toEqual([]);
  });

  it('keeps every item, in order, in no more tasks than threads while they are small', () => {
    const sizes = fc.array(fc.integer({ min: 4 * KIB, max: MIB }), { minLength: 1, maxLength: 99 });
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 8 }), (sizesBytes, shareCount) => {
        const items = itemsOf(sizesBytes);
        const tasks = splitTasks(items, shareCount);
        expect(tasks.flat()).toEqual(items);
        expect(tasks.length).toBeLessThanOrEqual(shareCount);
        for (const task of tasks) expect(task.length).toBeGreaterThan(0);
      }),
    );
  });
});

describe('sweepsAhead', () => {
  it('reads two ahead, and one where extents are so large that memory would count', () => {
    const sweepsOf = (lengthBytes: number) => planSweeps([{ runs: [run(0, lengthBytes)] }]);
    expect(sweepsAhead(sweepsOf(4 * MIB))).toBe(2);
    expect(sweepsAhead(sweepsOf(64 * MIB))).toBe(1);
  });
});
