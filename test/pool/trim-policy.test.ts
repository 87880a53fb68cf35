/** What the policy of a tier says of trims steers the runs that begin by themselves. */

import { describe, expect, it, vi } from 'vitest';
import type { Tier } from '../../src/domain/heat.js';
import type { PolicyOverrides } from '../../src/domain/policy.js';
import type { DiscardTask } from '../../src/domain/tasks.js';
import { KIB, MIB } from '../../src/domain/units.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { forecastTrim } from '../../src/pool/extent-pool/trim.js';
import { triggerFacts } from '../../src/pool/trigger-facts.js';
import { processTrimBatch } from '../../src/processors/trim-batch.js';
import { content, makePool, putFiles } from '../support/pool-fixture.js';
import { tempDirectory } from '../support/temp-directory.js';

/** A pool with a disk of each tier, and as much pending on each. */
async function tieredPool(overrides: PolicyOverrides): Promise<ExtentPool> {
  const pool = makePool({ diskCount: 0, extentBytes: MIB });
  for (const tier of ['hot', 'warm', 'cold'] as const) {
    pool.addDisk(tempDirectory(`disk-${tier}`), { capacityBytes: 64 * MIB, tier });
  }
  await putFiles(pool, { data: content('data', 4 * MIB) }, { replicaCount: 3 });
  pool.remove('data');
  pool.context.store.policies.set({ preset: 'balanced', overrides }, 0, 'test');
  return pool;
}

const pendingOf = ({ context }: ExtentPool): Record<string, number> =>
  Object.fromEntries(
    context.store.disks
      .all()
      .map(({ tier, diskId }) => [tier, context.store.space.totals(diskId).pendingBytes]),
  );

const EACH = { hot: 4 * MIB, warm: 4 * MIB, cold: 4 * MIB };

/** @returns bytes asked for by each batch until the run is over. */
async function trim(
  { context }: ExtentPool,
  trigger: 'manual' | 'reclamation',
  scope: Tier | null = null,
): Promise<number[]> {
  const { store, poolId } = context;
  const epoch = store.owner.acquire('test', 1);
  context.ownerEpoch = epoch;
  const runId = store.runs.insert({
    ...{ kind: 'trim', trigger, intensity: 'medium', threadCount: 1, diskId: null },
    ...{ secureErase: false, startedAtMs: 0, plannedCount: 0, plannedBytes: 0 },
  });
  if (scope) {
    const before = { fragmentationRatio: null, capacityBytes: 0, usedBytes: 0, pendingBytes: 0 };
    const reclamationId = store.reclamations.insert(
      {
        ...{ trigger: 'freed', scope, reason: 'test', actor: 'test', policyVersion: 0 },
        ...{ timeBudgetMs: null, startedAtMs: 0, before },
      },
      [{ what: 'trim' }],
    );
    store.reclamations.beginStep(reclamationId, 0, runId, 0);
  }
  const asked: number[] = [];
  for (let batchIndex = 0; store.runs.get(runId)?.state === 'running'; batchIndex += 1) {
    const report = await processTrimBatch(context, {
      v: 1,
      kind: 'batch',
      poolId,
      runId,
      batchIndex,
      epoch,
    });
    if (report.doneBytes > 0) asked.push(report.doneBytes);
  }
  return asked;
}

describe('trim.enabled of a tier', () => {
  it('leaves its disks out of what begins by itself, and not of a trim by hand', async () => {
    const pool = await tieredPool({ tiers: { warm: { trim: { enabled: false } } } });
    await trim(pool, 'reclamation');
    expect(pendingOf(pool)).toEqual({ hot: 0, warm: 4 * MIB, cold: 0 });
    await trim(pool, 'manual');
    expect(pendingOf(pool)).toEqual({ hot: 0, warm: 0, cold: 0 });
  });
});

describe('a trim that was begun for what a tier freed', () => {
  it('leaves the other tiers alone, and their time goes on', async () => {
    const pool = await tieredPool({});
    await trim(pool, 'reclamation', 'cold');
    expect(pendingOf(pool)).toEqual({ ...EACH, cold: 0 });
    const { freed } = triggerFacts(pool.context);
    expect(freed.cold?.trimmedAtMs).toBeGreaterThan(freed.hot?.trimmedAtMs ?? Infinity);
  });
});

describe('trim.batchBytes of a tier', () => {
  it('bounds what one batch asks of its disks', async () => {
    const pool = await tieredPool({ tiers: { hot: { trim: { batchBytes: MIB } } } });
    expect(await trim(pool, 'reclamation')).toEqual([MIB, MIB, MIB, MIB, 4 * MIB, 4 * MIB]);
  });
});

describe('trim.discardGranularityBytes of a tier', () => {
  it('asks for whole granules only, and what is smaller stays pending and fires nothing', async () => {
    const pool = await tieredPool({
      trim: { discardGranularityBytes: 8 * MIB },
      tiers: { hot: { trim: { discardGranularityBytes: 64 * KIB } } },
    });
    const forecast = forecastTrim(pool.context, pool.context.store.disks.all());
    expect(forecast.map(({ requestedBytes }) => requestedBytes)).toEqual([4 * MIB, 0, 0]);
    const { freed } = triggerFacts(pool.context);
    expect([freed.hot, freed.warm].map((fact) => fact?.pendingBytes)).toEqual([4 * MIB, 0]);
    await trim(pool, 'reclamation');
    expect(pendingOf(pool)).toEqual({ ...EACH, hot: 0 });
  });
});

describe('trim.secureErase of a tier', () => {
  it('overwrites what is trimmed on the disks of that tier, and of no other', async () => {
    const pool = await tieredPool({ tiers: { cold: { trim: { secureErase: true } } } });
    const run = vi.spyOn(pool.context.workers, 'run');
    await trim(pool, 'reclamation');
    const erased = run.mock.calls
      .map(([, task]) => task as DiscardTask)
      .filter(({ secureErase }) => secureErase)
      .map(({ path }) => path);
    expect(erased).toEqual([expect.stringContaining('disk-cold')]);
    expect(pendingOf(pool)).toEqual({ hot: 0, warm: 0, cold: 0 });
  });
});
