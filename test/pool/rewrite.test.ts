/**
 * The rewrite protocol: a replica gets a better place, or everything is as it was. The worker is held
 * up where a test has to do something in the middle; what it does is always the real thing.
 */

import { describe, expect, it, vi } from 'vitest';
import { KIB, MIB } from '../../src/domain/units.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { beginEvacuation, finishEvacuation } from '../../src/pool/extent-pool/remove-disk.js';
import { rewriteReplica } from '../../src/pool/extent-pool/rewrite.js';
import {
  checksum,
  content,
  corruptReplica,
  expectSound,
  fragmentFreeSpace,
  makePool,
  patchFile,
  putFiles,
  readAll,
} from '../support/pool-fixture.js';

const BYTES = content('rewrite', 3 * MIB);

/** A pool with one fragmented object `a`, and room to make it contiguous. */
async function fragmentedPool(diskCount = 1): Promise<ExtentPool> {
  const pool = makePool({ diskCount, replicaCount: diskCount, capacityBytes: 64 * MIB });
  await fragmentFreeSpace(pool, 64 * KIB);
  await putFiles(pool, { a: BYTES });
  pool.remove('filler', true);
  expect(extentOf(pool).fragmentCount).toBeGreaterThan(1);
  return pool;
}

function extentOf(pool: ExtentPool) {
  const [extent] = pool.extents('a');
  if (!extent) throw new Error('no extent');
  return extent;
}

/** Does something after the worker has written, before its result counts. */
function duringRewrite(pool: ExtentPool, act: () => void): void {
  const { workers } = pool.context;
  const run = workers.run.bind(workers);
  vi.spyOn(workers, 'run').mockImplementation(async (kind, task) => {
    const result = await run(kind, task);
    act();
    return result;
  });
}

describe('a fragmented replica', () => {
  it('becomes contiguous, with its content, its heat and a new generation', async () => {
    const pool = await fragmentedPool();
    const before = extentOf(pool);
    const [oldReplica] = pool.context.store.extents.replicas(before.extentId);
    const result = await rewriteReplica(
      pool.context,
      { extentId: before.extentId, diskId: 1 },
      'defrag',
    );
    expect(result).toEqual({
      kind: 'moved',
      bytes: BYTES.length,
      fragmentsBefore: before.fragmentCount,
      fragmentsAfter: 1,
    });
    const after = extentOf(pool);
    expect(after).toEqual({
      ...before,
      generation: before.generation + 1,
      fragmentCount: 1,
    });
    const [newReplica] = pool.context.store.extents.replicas(before.extentId);
    const dues = pool.context.store.discards.due(1, Date.now());
    for (const run of oldReplica?.runs ?? []) {
      expect(newReplica?.runs).not.toContainEqual(run);
      expect(dues.some((due) => covers(due, run))).toBe(true);
    }
    expect(checksum(await readAll(pool, 'a'))).toBe(checksum(BYTES));
    expectSound(pool);
  });

  it('that is contiguous already, or gone, is skipped with the reason', async () => {
    const pool = await fragmentedPool();
    const { extentId } = extentOf(pool);
    const rewrite = () => rewriteReplica(pool.context, { extentId, diskId: 1 }, 'defrag');
    await rewrite();
    expect(await rewrite()).toEqual({ kind: 'skipped', reason: 'already contiguous' });
    pool.remove('a');
    expect(await rewrite()).toEqual({ kind: 'skipped', reason: 'deleted meanwhile' });
    expectSound(pool);
  });

  it('stays where it is when no free run is longer', async () => {
    const pool = makePool({ capacityBytes: 64 * MIB });
    await fragmentFreeSpace(pool, 64 * KIB);
    await putFiles(pool, { a: BYTES });
    const { space } = pool.context.store;
    const reserve = space.bestFit(1, MIB, 'reserve');
    pool.context.store.transaction(() => {
      // As if another rewrite of this process had it.
      const owner = pool.context.writer.newOwner();
      if (reserve) space.reserve(reserve, reserve.lengthBytes, owner);
    });
    const before = extentOf(pool);
    const candidate = { extentId: before.extentId, diskId: 1 };
    const result = await rewriteReplica(pool.context, candidate, 'defrag');
    expect(result).toEqual({ kind: 'skipped', reason: 'no better run of free space' });
    expect(extentOf(pool)).toEqual(before);
  });
});

describe('what happens while the worker writes', () => {
  it('a removal wins: the rewrite is void and its target pending', async () => {
    const pool = await fragmentedPool();
    const candidate = { extentId: extentOf(pool).extentId, diskId: 1 };
    duringRewrite(pool, () => pool.remove('a'));
    expect(await rewriteReplica(pool.context, candidate, 'defrag')).toEqual({
      kind: 'skipped',
      reason: 'deleted meanwhile',
    });
    expect(pool.metadata('a')).toBeNull();
    expectSound(pool);
  });

  it('another rewrite of the same replica wins, and the content stays', async () => {
    const pool = await fragmentedPool();
    const candidate = { extentId: extentOf(pool).extentId, diskId: 1 };
    const both = await Promise.all([
      rewriteReplica(pool.context, candidate, 'defrag'),
      rewriteReplica(pool.context, candidate, 'defrag'),
    ]);
    expect(both.map(({ kind }) => kind).sort()).toEqual(['moved', 'superseded']);
    expect(extentOf(pool).generation).toBe(2);
    expect(checksum(await readAll(pool, 'a'))).toBe(checksum(BYTES));
    expectSound(pool);
  });

  it('another agent that took the pool over wins: nothing is swapped', async () => {
    const pool = await fragmentedPool();
    const { context } = pool;
    const before = extentOf(pool);
    context.ownerEpoch = context.store.owner.acquire('first', 1);
    duringRewrite(pool, () => void context.store.owner.acquire('second', 2));
    const candidate = { extentId: before.extentId, diskId: 1 };
    const rewrite = rewriteReplica(context, candidate, 'defrag');
    await expect(rewrite).rejects.toMatchObject({ code: 'ERR_TARGET_BUSY' });
    expect(extentOf(pool)).toEqual(before);
    expectSound(pool);
  });
});

describe('bad replicas', () => {
  it('are repaired in place from a good one', async () => {
    const pool = await fragmentedPool(2);
    const { extentId } = extentOf(pool);
    corruptReplica(pool, extentId, 2);
    const bad = { extentId, diskId: 2, reason: 'wrong checksum', held: false, atMs: 0 };
    pool.context.store.repairs.recordBad(bad);
    const result = await rewriteReplica(pool.context, { extentId, diskId: 2 }, 'repair');
    expect(result.kind).toBe('moved');
    expect(pool.context.store.repairs.all()).toEqual([]);
    corruptReplica(pool, extentId, 1);
    expect(checksum(await readAll(pool, 'a'))).toBe(checksum(BYTES));
    expectSound(pool);
  });

  it('are read around when another replica is moved, and counted', async () => {
    const pool = await fragmentedPool(2);
    const { extentId } = extentOf(pool);
    corruptReplica(pool, extentId, 1);
    const result = await rewriteReplica(pool.context, { extentId, diskId: 1 }, 'defrag');
    expect(result.kind).toBe('moved');
    expect(checksum(await readAll(pool, 'a'))).toBe(checksum(BYTES));
    expect(pool.context.store.totals.read().bad_replicas_seen).toBe(1);
    expectSound(pool);
  });

  it('alone cannot be moved: the extent stays as it was, and nothing is reserved', async () => {
    const pool = await fragmentedPool();
    const before = extentOf(pool);
    corruptReplica(pool, before.extentId, 1);
    const candidate = { extentId: before.extentId, diskId: 1 };
    const rewrite = rewriteReplica(pool.context, candidate, 'defrag');
    await expect(rewrite).rejects.toMatchObject({ code: 'ERR_CHECKSUM_MISMATCH' });
    expect(extentOf(pool)).toEqual(before);
    expectSound(pool);
  });
});

describe('evacuation', () => {
  it('moves everything to the other disks and takes the disk out', async () => {
    const pool = makePool({ diskCount: 3, replicaCount: 2, capacityBytes: 128 * MIB });
    const { context } = pool;
    await putFiles(pool, { a: BYTES, b: content('b', 9 * MIB), c: content('c', 10) });
    const [disk] = context.store.disks.all();
    if (!disk) throw new Error('no disk');
    beginEvacuation(context, disk);
    await putFiles(pool, { later: content('later', 10) });
    const work = context.store.candidates.onDisk(1, disk.diskId, 1000);
    expect(work.length).toBeGreaterThan(0);
    expect(finishEvacuation(context, disk)).toBe(false);
    for (const candidate of work) {
      expect((await rewriteReplica(context, candidate, 'evacuate')).kind).toBe('moved');
    }
    expect(finishEvacuation(context, disk)).toBe(true);
    expect(pool.disks().map(({ path }) => path)).not.toContain(disk.path);
    expect(checksum(await readAll(pool, 'a'))).toBe(checksum(BYTES));
    expect(checksum(await readAll(pool, 'b'))).toBe(checksum(content('b', 9 * MIB)));
    expectSound(pool);
  });

  it('is refused while the others cannot take it, and changes nothing', async () => {
    const pool = makePool({ diskCount: 2, replicaCount: 2 });
    await putFiles(pool, { a: BYTES });
    const [disk] = pool.context.store.disks.all();
    if (!disk) throw new Error('no disk');
    expect(() => beginEvacuation(pool.context, disk)).toThrow('want 2 replicas; 1 other disk(s)');
    expect(pool.disks().every(({ evacuating }) => !evacuating)).toBe(true);
  });
});

it('a reader finds an extent that moves again and again', async () => {
  const pool = makePool({ diskCount: 2, capacityBytes: 64 * MIB });
  await putFiles(pool, { a: BYTES });
  const { extentId } = extentOf(pool);
  let stop = false;
  const mover = (async () => {
    for (let n = 0; n < 30 && !stop; n += 1) {
      const [replica] = pool.context.store.extents.replicas(extentId);
      const old = replica?.runs[0]?.startBytes ?? 0;
      const candidate = { extentId, diskId: replica?.diskId ?? 0 };
      await rewriteReplica(pool.context, candidate, 'evacuate');
      const file = `${pool.disks()[candidate.diskId - 1]?.path}/dynamicfs.data`;
      patchFile(file, old, (bytes) => bytes.fill(0));
    }
  })();
  for (let n = 0; n < 20; n += 1) {
    expect(checksum(await readAll(pool, 'a'))).toBe(checksum(BYTES));
  }
  stop = true;
  await mover;
  expect(pool.context.store.repairs.all()).toEqual([]);
  expectSound(pool);
});

function covers(
  outer: { startBytes: number; lengthBytes: number },
  inner: { startBytes: number; lengthBytes: number },
): boolean {
  const outerEnd = outer.startBytes + outer.lengthBytes;
  return outer.startBytes <= inner.startBytes && outerEnd >= inner.startBytes + inner.lengthBytes;
}
