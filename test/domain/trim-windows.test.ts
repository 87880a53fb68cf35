/** Which windows may be left out, and how a window is cut into calls. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bytesOfRuns,
  nextPaceBytes,
  pauseAfterMs,
  stepEndByGroup,
  stepEndByRuns,
} from '../../src/domain/trim-steps.js';
import {
  planWindows,
  type RememberedWindow,
  type TrimEvidence,
  type TrimWindow,
  windowGrid,
  windowsFromCursor,
} from '../../src/domain/trim-windows.js';
import { type ByteRun, GIB, KIB, MIB, totalBytes } from '../../src/domain/units.js';

const BLOCK = 4096;

function evidence(blockCount: number, instance = 'boot/1'): TrimEvidence {
  const freed = { extentCount: blockCount, blockCount, blockBytes: BLOCK };
  return { instance, freed, generation: null };
}

/** XFS by blocks: who wrote to a free block since its last discard is what a trim must know. */
class Model {
  readonly used: boolean[];
  readonly dirty: boolean[];
  freedCount = 0;

  constructor(
    readonly windowBlocks: number,
    windowCount: number,
  ) {
    this.used = Array.from({ length: windowBlocks * windowCount }, () => false);
    this.dirty = this.used.map(() => false);
  }

  toggle(block: number): void {
    if (this.used[block]) this.freedCount += 1;
    else this.dirty[block] = true;
    this.used[block] = !this.used[block];
  }

  windows(): TrimWindow[] {
    const list: TrimWindow[] = [];
    for (let at = 0; at < this.used.length; at += this.windowBlocks) {
      const own = this.used.slice(at, at + this.windowBlocks);
      const freeBytes = own.filter((used) => !used).length * BLOCK;
      list.push({
        startBytes: at * BLOCK,
        lengthBytes: this.windowBlocks * BLOCK,
        fingerprint: own.map(Number).join(''),
        freeBytes,
        trimmableBytes: freeBytes,
        deviceNames: null,
        freeRunCount: null,
      });
    }
    return list;
  }

  discard(window: ByteRun): void {
    const from = window.startBytes / BLOCK;
    for (let at = from; at < from + window.lengthBytes / BLOCK; at += 1) {
      if (!this.used[at]) this.dirty[at] = false;
    }
  }

  untrimmedCount(): number {
    return this.dirty.filter((dirty, at) => dirty && !this.used[at]).length;
  }
}

function trim(model: Model, memory: Map<number, RememberedWindow>, runId: string) {
  const before = evidence(model.freedCount);
  const windows = model.windows();
  const plan = planWindows(windows, [...memory.values()], before, before.freed, 0);
  for (const { window, skip } of plan) {
    if (skip === null) model.discard(window);
    const { startBytes, lengthBytes, fingerprint, freeBytes } = window;
    const row = { startBytes, lengthBytes, fingerprint, freeBytes };
    memory.set(startBytes, { ...row, runId, evidence: before, trimmedAtMs: 0, minLengthBytes: 0 });
  }
  return plan;
}

describe('planWindows', () => {
  const rounds = fc.array(fc.array(fc.nat(31), { maxLength: 12 }), { minLength: 1, maxLength: 8 });

  it('leaves no free block untrimmed, in whatever order blocks are used and freed', () => {
    fc.assert(
      fc.property(rounds, (steps) => {
        const model = new Model(8, 4);
        const memory = new Map<number, RememberedWindow>();
        for (const [index, blocks] of steps.entries()) {
          for (const block of blocks) model.toggle(block);
          trim(model, memory, `run ${index}`);
          expect(model.untrimmedCount()).toBe(0);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('leaves out what has not changed while files go elsewhere', () => {
    const model = new Model(8, 4);
    const memory = new Map<number, RememberedWindow>();
    for (const block of [0, 1, 9, 10, 20]) model.toggle(block);
    trim(model, memory, 'run 1');
    expect(trim(model, memory, 'run 2').every(({ skip }) => skip === 'nothing-freed')).toBe(true);
    model.toggle(9);
    const skips = trim(model, memory, 'run 3').map(({ skip }) => skip);
    expect(skips).toEqual(['freed-elsewhere', null, 'freed-elsewhere', 'freed-elsewhere']);
  });

  it('does not take the same map for the same blocks: one was written to and freed again', () => {
    const model = new Model(8, 4);
    const memory = new Map<number, RememberedWindow>();
    trim(model, memory, 'run 1');
    model.toggle(3);
    model.toggle(3);
    expect(trim(model, memory, 'run 2').every(({ skip }) => skip === null)).toBe(true);
    expect(model.untrimmedCount()).toBe(0);
  });

  it('forgets everything with another mount, and when nobody can tell', () => {
    const model = new Model(8, 2);
    const memory = new Map<number, RememberedWindow>();
    trim(model, memory, 'run 1');
    const rows = [...memory.values()];
    const plan = (now: TrimEvidence, minLengthBytes = 0) =>
      planWindows(model.windows(), rows, now, now.freed, minLengthBytes).map(({ skip }) => skip);
    expect(plan(evidence(0))).toEqual(['nothing-freed', 'nothing-freed']);
    expect(plan(evidence(0, 'boot/2'))).toEqual([null, null]);
    expect(plan({ instance: 'boot/1', freed: null, generation: null })).toEqual([null, null]);
    const unknown = rows.map((row) => ({ ...row, evidence: { ...row.evidence, instance: null } }));
    const now = { ...evidence(0), instance: null };
    expect(planWindows(model.windows(), unknown, now, now.freed, 0)[0]?.skip).toBe(null);
  });

  it('trims again when shorter runs are asked for than last time', () => {
    const model = new Model(8, 1);
    const memory = new Map<number, RememberedWindow>();
    trim(model, memory, 'run 1');
    const rows = [...memory.values()].map((row) => ({ ...row, minLengthBytes: MIB }));
    const now = evidence(0);
    expect(planWindows(model.windows(), rows, now, now.freed, BLOCK)[0]?.skip).toBe(null);
    expect(planWindows(model.windows(), rows, now, now.freed, MIB)[0]?.skip).toBe('nothing-freed');
  });
});

describe('windowGrid', () => {
  it('covers every byte once, on a grid that does not depend on where a range begins', () => {
    const whole = [{ startBytes: 0, lengthBytes: 5 * GIB + 7 }];
    const windows = windowGrid(whole, GIB);
    expect(windows).toHaveLength(6);
    expect(totalBytes(windows)).toBe(5 * GIB + 7);
    expect(windowGrid([{ startBytes: GIB / 2, lengthBytes: GIB }], GIB)).toEqual([
      { startBytes: GIB / 2, lengthBytes: GIB / 2 },
      { startBytes: GIB, lengthBytes: GIB / 2 },
    ]);
  });

  it('begins where the groups do', () => {
    const [first, second] = windowGrid([{ startBytes: 0, lengthBytes: 3 * MIB }], MIB, KIB);
    expect(first).toEqual({ startBytes: 0, lengthBytes: MIB + KIB });
    expect(second?.startBytes).toBe(MIB + KIB);
  });
});

describe('windowsFromCursor', () => {
  const windows = windowGrid([{ startBytes: 0, lengthBytes: 4 * MIB }], MIB);

  it.each([
    [null, [0, 1, 2, 3]],
    [0, [0, 1, 2, 3]],
    [2 * MIB, [2, 3, 0, 1]],
    [2 * MIB + 1, [2, 3, 0, 1]],
    [9 * MIB, [0, 1, 2, 3]],
  ])('goes on at %s and comes round to what was before', (cursor, order) => {
    const starts = windowsFromCursor(windows, cursor).map(({ startBytes }) => startBytes / MIB);
    expect(starts).toEqual(order);
  });
});

describe('the steps of a window', () => {
  const pieces = fc.array(
    fc.tuple(fc.integer({ min: 1, max: 99 }), fc.integer({ min: 1, max: 999 })),
  );

  it('cover it without a gap, move on each time, and ask for no more than the pace', () => {
    fc.assert(
      fc.property(pieces, fc.integer({ min: 1, max: 200 }), (gaps, paceBlocks) => {
        const flat: number[] = [];
        let at = 0;
        for (const [gap, length] of gaps) {
          flat.push((at + gap) * BLOCK, length * BLOCK);
          at += gap + length;
        }
        const runs = Float64Array.from(flat);
        const endBytes = (at + 5) * BLOCK;
        let sumBytes = 0;
        for (let from = 0; from < endBytes; ) {
          const to = stepEndByRuns(runs, from, endBytes, paceBlocks * BLOCK, BLOCK);
          expect(to).toBeGreaterThan(from);
          const own = bytesOfRuns(runs, { startBytes: from, lengthBytes: to - from }, 0);
          expect(own).toBeLessThanOrEqual(paceBlocks * BLOCK);
          sumBytes += own;
          from = to;
        }
        expect(sumBytes).toBe(flat.reduce((sum, value, index) => sum + (index % 2) * value, 0));
      }),
    );
  });

  it('end at groups for ext4', () => {
    expect(stepEndByGroup(0, GIB, 128 * MIB, 0)).toBe(128 * MIB);
    expect(stepEndByGroup(128 * MIB, 200 * MIB, 128 * MIB, 0)).toBe(200 * MIB);
    expect(stepEndByGroup(0, GIB, 8 * MIB, KIB)).toBe(8 * MIB + KIB);
  });

  it('become smaller on a slow device, and slowly larger on a fast one', () => {
    expect(nextPaceBytes(16 * MIB, 16 * MIB, 300)).toBe(8 * MIB);
    expect(nextPaceBytes(4 * MIB, 4 * MIB, 300)).toBe(4 * MIB);
    expect(nextPaceBytes(16 * MIB, 16 * MIB, 1)).toBe(24 * MIB);
    expect(nextPaceBytes(16 * MIB, 0, 1)).toBe(16 * MIB);
    expect(nextPaceBytes(64 * MIB, 64 * MIB, 1)).toBe(64 * MIB);
  });

  it('leave the device to others for a share of their own time', () => {
    expect(pauseAfterMs(0, 50)).toBe(0);
    expect(pauseAfterMs(MIB, 40)).toBeCloseTo(6);
    expect(pauseAfterMs(MIB, 5_000)).toBe(100);
  });
});
