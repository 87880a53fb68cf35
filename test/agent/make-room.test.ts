/** Runs on pools that are nearly full, where one replica only becomes contiguous if others move. */

import { describe, expect, it } from 'vitest';
import { KIB, MIB } from '../../src/domain/units.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { DefragBatches } from '../../src/processors/defrag-batch.js';
import {
  checksum,
  content,
  expectSound,
  fileEntry,
  inventory,
  makePool,
} from '../support/pool-fixture.js';

const CAPACITY_BYTES = 128 * MIB;
const EXTENT_BYTES = 4 * MIB;
const BATCHES_MAX = 400;

describe('a run on a pool that is nearly full', () => {
  it.each([
    ['has room for one extent', 1],
    ['has some room', 6],
    ['has no room at all', 0],
  ])(
    'ends, moves a bounded number of bytes and loses nothing when it %s',
    async (_, removedCount) => {
      const pool = makePool({ capacityBytes: CAPACITY_BYTES, extentBytes: EXTENT_BYTES });
      const sums = await fillWithFragments(pool);
      for (const name of [...sums.keys()]
        .filter((key) => key.startsWith('large'))
        .slice(0, removedCount)) {
        pool.remove(name);
        sums.delete(name);
      }
      const before = pool.analyze();

      const { state } = await runToEnd(pool);

      const after = pool.analyze();
      const { defrag_bytes_relocated: asideBytes = 0 } = pool.context.store.totals.read();
      expect(state).toBe('completed');
      expect(before.fragmentedExtentCount).toBeGreaterThan(0);
      expect(after.fragmentedExtentCount).toBeLessThanOrEqual(before.fragmentedExtentCount);
      expect(asideBytes).toBeLessThan(2 * CAPACITY_BYTES);
      expectSound(pool);
      expect(await inventory(pool)).toEqual(Object.fromEntries(sums));
    },
  );
});

/** Small objects everywhere, every second one of them replaced by pieces of large ones. */
async function fillWithFragments(pool: ExtentPool): Promise<Map<string, string>> {
  const sums = new Map<string, string>();
  const put = async (name: string, sizeBytes: number) => {
    const bytes = content(name, sizeBytes);
    const stored = await pool.put([fileEntry(name, bytes)]).then(
      () => true,
      (cause) => {
        if (cause.code === 'ERR_NO_SPACE') return false;
        throw cause;
      },
    );
    if (!stored) return false;
    sums.set(name, checksum(bytes));
    return true;
  };
  const small = (index: number) => `small/${index % 2 ? 'odd' : 'even'}/${index}`;
  let smallCount = 0;
  while (await put(small(smallCount), (100 + ((smallCount * 67) % 200)) * KIB)) smallCount += 1;
  for (const name of [...sums.keys()].filter((one) => one.startsWith('small/even'))) {
    sums.delete(name);
  }
  pool.remove('small/even', true);
  for (let index = 0; await put(`large/${index}`, EXTENT_BYTES); index += 1);
  return sums;
}

async function runToEnd(pool: ExtentPool) {
  const { context } = pool;
  const { store } = context;
  context.ownerEpoch = store.owner.acquire('test', Date.now());
  const batches = new DefragBatches(context);
  const runId = store.transaction(() =>
    store.runs.insert({
      ...({ kind: 'defrag', trigger: 'manual', intensity: 'high', threadCount: 2 } as const),
      ...{ diskId: null, secureErase: false, startedAtMs: Date.now() },
      ...{ plannedCount: 1, plannedBytes: 1 },
    }),
  );
  for (let batchIndex = 0; batchIndex < BATCHES_MAX; batchIndex += 1) {
    const run = store.runs.get(runId);
    if (run?.state !== 'running') break;
    await batches.process({
      ...{ v: 1, kind: 'batch', poolId: context.poolId, runId },
      ...{ batchIndex: run.batchIndex, epoch: context.ownerEpoch },
    });
  }
  const run = store.runs.get(runId);
  if (!run) throw new Error('the run is gone');
  return run;
}
