/** Extents go to the disks of the tier of their heat, whole and verified, and stay there. */

import { join } from 'node:path';
import { expect, it } from 'vitest';
import { HEAT_HALF_LIFE_MS } from '../../src/domain/heat.js';
import { KIB, MIB } from '../../src/domain/units.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { DefragBatches } from '../../src/processors/defrag-batch.js';
import { beginTiering } from '../../src/processors/tiering.js';
import {
  checksum,
  content,
  expectSound,
  makePool,
  putFiles,
  readAll,
} from '../support/pool-fixture.js';
import { tempDirectory } from '../support/temp-directory.js';

function tiersOf(pool: ExtentPool, name: string): string[] {
  const { store } = pool.context;
  return pool
    .extents(name)
    .flatMap(({ extentId }) => store.extents.replicas(extentId))
    .map(({ diskId }) => store.disks.get(diskId)?.tier ?? 'none');
}

/** Runs the batches of a run as the agent would. */
async function runToEnd(pool: ExtentPool, runId: number): Promise<void> {
  const { context } = pool;
  const batches = new DefragBatches(context);
  for (;;) {
    const run = context.store.runs.get(runId);
    if (run?.state !== 'running') return;
    const { batchIndex } = run;
    const epoch = context.ownerEpoch ?? 0;
    const payload = { v: 1, poolId: pool.id, kind: 'batch', runId, batchIndex, epoch } as const;
    await batches.process(payload);
  }
}

it('promotes what is read often, demotes what nobody reads, and then rests', async () => {
  let nowMs = 1_700_000_000_000;
  const pool = makePool({ capacityBytes: 64 * MIB, clock: () => nowMs });
  const { context } = pool;
  const root = tempDirectory('tiers');
  for (const tier of ['hot', 'cold'] as const) {
    pool.addDisk(join(root, tier), { capacityBytes: 64 * MIB, tier });
  }
  context.ownerEpoch = context.store.owner.acquire('test', nowMs);
  context.store.settings.write({ defragEnabled: true });
  const files = { often: content('often', 3 * MIB), seldom: content('seldom', 100 * KIB) };
  await putFiles(pool, files);
  expect(beginTiering(context)).toBeNull();
  expect(tiersOf(pool, 'often')).toEqual(['warm']);

  for (let n = 0; n < 4; n += 1) await readAll(pool, 'often');
  const promotion = beginTiering(context) ?? 0;
  expect(context.store.runs.get(promotion)).toMatchObject({ kind: 'tier', state: 'running' });
  await runToEnd(pool, promotion);
  expect(tiersOf(pool, 'often')).toEqual(['hot']);
  expect(tiersOf(pool, 'seldom')).toEqual(['warm']);

  // Heat 2.5: below where it would go up, and not low enough to leave.
  nowMs += HEAT_HALF_LIFE_MS;
  expect(beginTiering(context)).toBeNull();
  nowMs += 10 * HEAT_HALF_LIFE_MS;
  const demotion = beginTiering(context) ?? 0;
  await runToEnd(pool, demotion);
  expect(tiersOf(pool, 'often')).toEqual(['cold']);
  expect(tiersOf(pool, 'seldom')).toEqual(['cold']);
  expect(context.store.totals.read()).toMatchObject({
    tier_replicas_moved: 3,
    tier_bytes_moved: 2 * 3 * MIB + 100 * KIB,
    defrag_extents_moved: 0,
  });
  expect(checksum(await readAll(pool, 'often'))).toBe(checksum(files.often));
  expectSound(pool);
});

it('leaves everything alone where all disks are of one tier, or no passes are wanted', async () => {
  const pool = makePool({ diskCount: 2 });
  await putFiles(pool, { a: content(1, 100) });
  pool.context.store.settings.write({ defragEnabled: true });
  expect(beginTiering(pool.context)).toBeNull();
  pool.addDisk(join(tempDirectory('hot'), 'hot'), { capacityBytes: 64 * MIB, tier: 'hot' });
  pool.context.store.settings.write({ defragEnabled: false });
  for (let n = 0; n < 5; n += 1) await readAll(pool, 'a');
  expect(beginTiering(pool.context)).toBeNull();
});
