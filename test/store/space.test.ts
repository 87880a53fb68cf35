/**
 * The free-space index and the allocator against a model that knows the state of every block: random
 * sequences of all that can happen to space, checked after every step.
 */

import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { Allocator } from '../../src/pool/extent-pool/allocator.js';
import { PoolStore } from '../../src/store/pool-store.js';
import type { SpaceRun } from '../../src/store/space.js';
import { tempDirectory } from '../support/temp-directory.js';

const BLOCK = 4096;
const BLOCKS = 120;
const RESERVE_BLOCKS = 20;
const GENERAL_BLOCKS = BLOCKS - RESERVE_BLOCKS;

type BlockState = SpaceRun['state'] | 'used';

const open: PoolStore[] = [];
afterEach(() => {
  for (const store of open.splice(0)) store.close();
});

/** A store with one disk whose space is all free. */
function storeWithDisk(): PoolStore {
  const store = new PoolStore(join(tempDirectory('space'), 'pool.sqlite'), { create: true });
  open.push(store);
  const diskId = store.disks.add({
    kind: 'directory',
    uuid: 'u',
    path: '/nowhere',
    tier: 'warm',
    capacityBytes: BLOCKS * BLOCK,
    reserveBytes: RESERVE_BLOCKS * BLOCK,
    granularityBytes: BLOCK,
    evacuating: false,
    journalEpoch: 0,
    journalTailBytes: 0,
    journalStale: false,
    addedAtMs: 0,
  });
  expect(diskId).toBe(1);
  store.space.add(1, { startBytes: 0, lengthBytes: BLOCKS * BLOCK }, 'free');
  return store;
}

function rows(store: PoolStore): SpaceRun[] {
  return [...store.space.iterate(1)];
}

class Model {
  readonly blocks: BlockState[] = Array.from({ length: BLOCKS }, () => 'free');
  readonly held = new Map<string, number[]>();
  readonly used: number[][] = [];

  set(runs: readonly { startBytes: number; lengthBytes: number }[], state: BlockState): number[] {
    const touched = runs.flatMap(({ startBytes, lengthBytes }) =>
      Array.from({ length: lengthBytes / BLOCK }, (_, n) => startBytes / BLOCK + n),
    );
    for (const block of touched) this.blocks[block] = state;
    return touched;
  }

  /** Every block is in just one row, in the state that it should be in. */
  check(store: PoolStore): void {
    const seen: BlockState[] = Array.from({ length: BLOCKS }, () => 'used');
    let endBytes = 0;
    for (const { startBytes, lengthBytes, state } of rows(store)) {
      expect(startBytes).toBeGreaterThanOrEqual(endBytes);
      endBytes = startBytes + lengthBytes;
      for (let at = startBytes; at < endBytes; at += BLOCK) seen[at / BLOCK] = state;
    }
    expect(seen).toEqual(this.blocks);
    const count = (state: BlockState) => this.blocks.filter((b) => b === state).length * BLOCK;
    expect(store.space.totals(1)).toMatchObject({
      freeBytes: count('free'),
      pendingBytes: count('pending'),
      discardingBytes: count('discarding'),
      reservedBytes: count('reserved'),
    });
    const general = this.blocks.slice(0, GENERAL_BLOCKS);
    const usable = general.filter((b) => b === 'free' || b === 'pending').length;
    expect(store.space.usableBytes(1)).toBe(usable * BLOCK);
  }
}

/** Rows that a put may take. */
function takeable(store: PoolStore): number[] {
  return rows(store)
    .filter(({ state }) => state === 'free' || state === 'pending')
    .filter(({ startBytes }) => startBytes < GENERAL_BLOCKS * BLOCK)
    .map(({ lengthBytes }) => lengthBytes)
    .sort((a, b) => b - a);
}

function fewestPieces(lengths: readonly number[], wantedBytes: number): number | null {
  let sum = 0;
  for (const [index, length] of lengths.entries()) {
    sum += length;
    if (sum >= wantedBytes) return index + 1;
  }
  return null;
}

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('reserve' as const),
      blocks: fc.integer({ min: 1, max: 40 }),
      piecesMax: fc.integer({ min: 1, max: 6 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('commit' as const), pick: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('give up' as const), pick: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('release' as const), pick: fc.nat() }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('discard' as const),
      from: fc.integer({ min: 0, max: BLOCKS }),
      blocks: fc.integer({ min: 1, max: 60 }),
      outcome: fc.constantFrom('freed' as const, 'failed' as const, 'died' as const),
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

let ownerCount = 0;

function take(store: PoolStore, model: Model, action: Step): void {
  const pick = <T>(all: readonly T[], at: number): T | undefined => all[at % all.length];
  const nowMs = 1e12;
  switch (action.kind) {
    case 'reserve': {
      const lengthBytes = action.blocks * BLOCK;
      const lengths = takeable(store);
      ownerCount += 1;
      const owner = `w/${ownerCount}`;
      const runs = store.transaction(() =>
        new Allocator(store.space).reserve(1, lengthBytes, owner, action.piecesMax),
      );
      const fewest = fewestPieces(lengths, lengthBytes);
      expect(runs !== null).toBe(fewest !== null && fewest <= action.piecesMax);
      if (!runs || fewest === null) return;
      expect(runs.reduce((sum, run) => sum + run.lengthBytes, 0)).toBe(lengthBytes);
      expect(runs.length).toBeLessThanOrEqual(fewest);
      // The smallest that fits was taken: all longer and shorter rows are still there.
      if (fewest === 1) {
        const best = Math.min(...lengths.filter((length) => length >= lengthBytes));
        const expected = [...lengths];
        expected.splice(
          expected.indexOf(best),
          1,
          ...(best > lengthBytes ? [best - lengthBytes] : []),
        );
        expect(takeable(store)).toEqual(expected.sort((a, b) => b - a));
      }
      model.held.set(owner, model.set(runs, 'reserved'));
      return;
    }
    case 'commit':
    case 'give up': {
      const owner = pick([...model.held.keys()], action.pick);
      if (owner === undefined) return;
      const runs = store.transaction(() => {
        const taken = store.space.takeReserved(owner);
        if (action.kind === 'give up') for (const run of taken) store.space.add(1, run, 'pending');
        return taken;
      });
      expect(model.set(runs, action.kind === 'commit' ? 'used' : 'pending').sort()).toEqual(
        model.held.get(owner)?.sort(),
      );
      if (action.kind === 'commit') model.used.push(model.held.get(owner) ?? []);
      model.held.delete(owner);
      return;
    }
    case 'release': {
      const index = action.pick % Math.max(1, model.used.length);
      const [blocks = []] = model.used.splice(index, 1);
      const runs = blocks.map((block) => ({ startBytes: block * BLOCK, lengthBytes: BLOCK }));
      store.transaction(() => {
        for (const run of runs) store.space.add(1, run, 'pending');
      });
      model.set(runs, 'pending');
      return;
    }
    case 'discard': {
      const from = action.from * BLOCK;
      const marked = store.discards.mark(1, from, action.blocks * BLOCK, nowMs, 'trim');
      model.set(marked, 'discarding');
      model.check(store);
      store.transaction(() => {
        for (const run of marked) {
          if (action.outcome === 'freed') store.discards.settleFree(1, run);
          if (action.outcome === 'failed') store.discards.settleFailed(1, run, nowMs);
        }
        for (const run of store.space.takeReserved('trim')) store.space.add(1, run, 'pending');
      });
      model.set(marked, action.outcome === 'freed' ? 'free' : 'pending');
    }
  }
}

describe('space', () => {
  it('is never lost, never given twice, and taken by best fit and in the fewest pieces', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const store = storeWithDisk();
        const model = new Model();
        for (const action of steps) {
          take(store, model, action);
          model.check(store);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('that waits after a failed discard may still be allocated, and then waits no more', () => {
    const store = storeWithDisk();
    const whole = { startBytes: 0, lengthBytes: BLOCKS * BLOCK };
    for (const { startBytes } of rows(store)) store.space.remove(1, startBytes);
    store.space.add(1, whole, 'pending');
    for (const run of store.discards.mark(1, 0, whole.lengthBytes, 5000, 'trim')) {
      store.discards.settleFailed(1, run, 5000);
    }
    expect(store.discards.due(1, 5000)).toEqual([]);
    const fit = store.space.bestFit(1, 4 * BLOCK);
    expect(fit).toMatchObject({ state: 'pending' });
    if (fit) store.space.reserve(fit, fit.lengthBytes, 'w/1');
    for (const run of store.space.takeReserved('w/1')) store.space.add(1, run, 'pending');
    expect(store.discards.due(1, 5000)).toHaveLength(1);
  });

  it('prefers pending to free of the same size: reuse saves the discard', () => {
    const store = storeWithDisk();
    for (const { startBytes } of rows(store)) store.space.remove(1, startBytes);
    store.space.add(1, { startBytes: 0, lengthBytes: 4 * BLOCK }, 'free');
    store.space.add(1, { startBytes: 8 * BLOCK, lengthBytes: 4 * BLOCK }, 'pending');
    store.space.add(1, { startBytes: 16 * BLOCK, lengthBytes: 3 * BLOCK }, 'free');
    expect(store.space.bestFit(1, 4 * BLOCK)?.startBytes).toBe(8 * BLOCK);
    expect(store.space.bestFit(1, 2 * BLOCK)?.startBytes).toBe(16 * BLOCK);
    expect(store.space.bestFit(1, 5 * BLOCK)).toBeNull();
  });
});
