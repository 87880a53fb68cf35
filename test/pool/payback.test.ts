/**
 * What a defragmentation of an extent pool gained is measured on the very replicas that it moved.
 * The figures themselves are the machine's: what is asked is what was read, and what is left out.
 */

import { beforeEach, describe, expect, it } from 'vitest';
import { KIB, MIB } from '../../src/domain/units.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { paybackVerdict } from '../../src/pool/payback.js';
import { DefragBatches } from '../../src/processors/defrag-batch.js';
import { measureAfter, measureBefore } from '../../src/processors/payback.js';
import {
  content,
  expectSound,
  fragmentFreeSpace,
  inventory,
  makePool,
  putFiles,
} from '../support/pool-fixture.js';
import { beginDefragStep, endReclamationOf } from '../support/reclaim-lab.js';

const OBJECT_COUNT = 6;
let pool: ExtentPool;

beforeEach(async () => {
  pool = await fragmented();
});

/** `data/0` …, each one extent of 1 MiB in four pieces. */
async function fragmented(): Promise<ExtentPool> {
  const made = makePool({ capacityBytes: 64 * MIB, extentBytes: MIB });
  made.context.ownerEpoch = made.context.store.owner.acquire('test', Date.now());
  await fragmentFreeSpace(made, 256 * KIB);
  const names = Array.from({ length: OBJECT_COUNT }, (_, n) => `data/${n}`);
  await putFiles(made, Object.fromEntries(names.map((name, n) => [name, content(n, MIB)])));
  made.remove('filler', true);
  return made;
}

const paybacks = () => pool.context.store.paybacks;

function runOf(runId: number) {
  const run = pool.context.store.runs.get(runId);
  if (!run) throw new Error('no such run');
  return run;
}

async function runToEnd(runId: number): Promise<void> {
  const { context } = pool;
  const batches = new DefragBatches(context);
  while (runOf(runId).state === 'running') {
    const { batchIndex } = runOf(runId);
    const epoch = context.ownerEpoch ?? 0;
    const base = { v: 1, kind: 'batch', poolId: context.poolId } as const;
    await batches.process({ ...base, runId, batchIndex, epoch });
  }
}

describe('payback of an extent pool', () => {
  it('compares the replicas of a reclamation where they lay and where they lie', async () => {
    const before = await inventory(pool);
    const runId = beginDefragStep(pool.context);
    await runToEnd(runId);
    expect(paybacks().readsBefore(runId)).toHaveLength(OBJECT_COUNT);
    expect(paybacks().get(runId)).toMatchObject({ figures: null, skippedReason: null });
    await measureAfter(pool.context, runId);
    const payback = paybacks().get(runId);
    expect(payback).toMatchObject({
      ...{ runId, trigger: 'schedule', skippedReason: null, endedAtMs: expect.any(Number) },
      figures: {
        ...{ itemCount: OBJECT_COUNT, droppedCount: 0, sampleBytes: OBJECT_COUNT * MIB },
        rewrittenBytes: OBJECT_COUNT * MIB,
      },
    });
    expect(payback?.figures?.beforeMs).toBeGreaterThan(0);
    expect(payback?.figures?.afterMs).toBeGreaterThan(0);
    expect(payback?.figures?.busyMs).toBe(runOf(runId).progress.busyMs);
    const told = [...pool.context.store.ledger.entries({ event: 'payback-measured' })];
    expect(told.map(({ entry }) => entry)).toMatchObject([
      { runId, figures: { media: payback?.media, ...payback?.figures } },
    ]);
    // The sample is kept for as long as it is of use.
    expect(paybacks().readsBefore(runId)).toEqual([]);
    expect(await inventory(pool)).toEqual(before);
    expectSound(pool);
  });

  it('measures a run once, whatever is asked twice, and nothing but reclamations', async () => {
    const runId = beginDefragStep(pool.context);
    await measureBefore(pool.context, runOf(runId));
    const reads = paybacks().readsBefore(runId);
    await measureBefore(pool.context, runOf(runId));
    expect(paybacks().readsBefore(runId)).toEqual(reads);
    // Not before the run is over.
    await measureAfter(pool.context, runId);
    expect(paybacks().get(runId)?.endedAtMs).toBeNull();
    await runToEnd(runId);
    await measureAfter(pool.context, runId);
    const payback = paybacks().get(runId);
    await measureAfter(pool.context, runId);
    expect(paybacks().get(runId)).toEqual(payback);

    const { store } = pool.context;
    const alone = store.runs.insert({
      ...{ kind: 'defrag', trigger: 'manual', intensity: 'high', threadCount: 1, diskId: null },
      ...{ secureErase: false, startedAtMs: 0, plannedCount: 0, plannedBytes: 0 },
    });
    await measureBefore(pool.context, runOf(alone));
    expect(paybacks().get(alone)).toBeNull();
  });

  it('leaves out of both sums what was deleted or not moved', async () => {
    const runId = beginDefragStep(pool.context);
    await measureBefore(pool.context, runOf(runId));
    pool.remove('data/0');
    pool.remove('data/1');
    await runToEnd(runId);
    await measureAfter(pool.context, runId);
    expect(paybacks().get(runId)?.figures).toMatchObject({
      ...{ itemCount: OBJECT_COUNT - 2, droppedCount: 2 },
      sampleBytes: (OBJECT_COUNT - 2) * MIB,
    });
  });

  it('says why there are no figures: nothing to move, nothing moved', async () => {
    const runId = beginDefragStep(pool.context);
    await measureBefore(pool.context, runOf(runId));
    pool.context.store.runs.setState(runId, 'stopped', Date.now());
    await measureAfter(pool.context, runId);
    expect(paybacks().get(runId)).toMatchObject({
      ...{ figures: null, skippedReason: 'nothing of the sample was moved and is unchanged' },
    });
    endReclamationOf(pool.context, runId);
    pool.remove('data', true);
    const next = beginDefragStep(pool.context);
    await runToEnd(next);
    await measureAfter(pool.context, next);
    expect(paybacks().get(next)).toMatchObject({ skippedReason: 'there is nothing to move' });
  });

  it('takes at most 64 MiB, of the extents that are moved first', async () => {
    const { store } = pool.context;
    const many = makePool({ capacityBytes: 512 * MIB, extentBytes: 4 * MIB });
    await fragmentFreeSpace(many, MIB);
    const files = Array.from({ length: 20 }, (_, n) => [`data/${n}`, content(n, 4 * MIB)] as const);
    await putFiles(many, Object.fromEntries(files));
    const runId = beginDefragStep(many.context);
    const run = many.context.store.runs.get(runId);
    if (!run) throw new Error('no such run');
    await measureBefore(many.context, run);
    const reads = many.context.store.paybacks.readsBefore(runId);
    const bytes = reads.reduce((sum, one) => sum + one.bytes, 0);
    expect(bytes).toBeGreaterThan(0);
    expect(bytes).toBeLessThanOrEqual(64 * MIB);
    const first = many.context.store.candidates.fragmented(
      runId,
      many.context.store.reclamations.scope(runId),
      reads.length,
    );
    expect(reads.map(({ key }) => key)).toEqual(
      first.map(({ extentId, diskId }) => `${extentId}/${diskId}`),
    );
    expect(store.paybacks.recent(9)).toEqual([]);
  });
});

describe('the verdict of a pool', () => {
  it('needs two reclamations that were measured, and says so', async () => {
    const first = beginDefragStep(pool.context);
    await runToEnd(first);
    await measureAfter(pool.context, first);
    expect(paybackVerdict(pool.context)).toMatchObject({ verdict: 'unknown', runCount: 1 });
    endReclamationOf(pool.context, first);
    await fragmentAgain();
    const second = beginDefragStep(pool.context);
    await runToEnd(second);
    await measureAfter(pool.context, second);
    const found = paybackVerdict(pool.context);
    expect(found).toMatchObject({ runCount: 2, rewrittenBytes: expect.any(Number) });
    expect(['pays', 'does-not-pay']).toContain(found.verdict);
    expect(found.text).toContain('after the last 2 measured runs');
  });

  async function fragmentAgain(): Promise<void> {
    pool.remove('data', true);
    await fragmentFreeSpace(pool, 256 * KIB);
    await putFiles(pool, { 'data/a': content('a', MIB), 'data/b': content('b', MIB) });
    pool.remove('filler', true);
  }
});
