/**
 * Reads are verified: a bad replica is found, counted and read around. Reads make data hot, and a
 * reader that may not write leaves no trace.
 */

import { renameSync, truncateSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { HEAT_HALF_LIFE_MS, heatAt, heatTier } from '../../src/domain/heat.js';
import { MIB } from '../../src/domain/units.js';
import {
  checksum,
  content,
  corruptReplica,
  expectSound,
  fileEntry,
  makePool,
  openPool,
  putFiles,
  readAll,
  reopenPool,
} from '../support/pool-fixture.js';

describe('a corrupt replica', () => {
  it('is read around and counted; the next read still finds a good one', async () => {
    const pool = makePool({ diskCount: 2, replicaCount: 2 });
    const bytes = content(1, 5 * MIB);
    await putFiles(pool, { a: bytes });
    const [extent] = pool.extents('a');
    const { store } = pool.context;
    const [first] = pool.context.readableReplicas(extent?.extentId ?? 0);
    corruptReplica(pool, extent?.extentId ?? 0, first?.diskId ?? 0);

    expect(checksum(await readAll(pool, 'a'))).toBe(checksum(bytes));
    expect(store.repairs.named(10)).toMatchObject([
      { objectName: 'a', extentIndex: 0, diskId: first?.diskId, reason: 'wrong checksum' },
    ]);
    expect(store.repairs.findings(10)).toMatchObject([{ what: 'bad', objectName: 'a' }]);
    expect(store.totals.read().bad_replicas_seen).toBe(1);
    expect(checksum(await readAll(pool, 'a'))).toBe(checksum(bytes));
  });

  it('on every disk ends the read with the name of the object, and with the disks', async () => {
    const pool = makePool({ diskCount: 2, replicaCount: 2 });
    await putFiles(pool, { 'deep/a': content(1, 100) });
    const extentId = pool.extents('deep/a')[0]?.extentId ?? 0;
    for (const diskId of [1, 2]) corruptReplica(pool, extentId, diskId);
    await expect(readAll(pool, 'deep/a')).rejects.toMatchObject({
      code: 'ERR_CHECKSUM_MISMATCH',
      message: 'deep/a: extent 0 has no good replica',
      nextStep: expect.stringContaining('backup'),
      details: { badReplicas: [{ diskId: expect.any(Number) }, { diskId: expect.any(Number) }] },
    });
    expect(pool.context.store.repairs.all()).toHaveLength(2);
  });

  it('that the disk cannot read is bad, too, and counts as an error of the disk', async () => {
    const pool = makePool({ diskCount: 2, replicaCount: 2 });
    await putFiles(pool, { a: content(1, MIB) });
    const { store } = pool.context;
    const [first] = pool.context.readableReplicas(pool.extents('a')[0]?.extentId ?? 0);
    // A disk that lost its end: what lies there is an EIO.
    truncateSync(first?.path ?? '', first?.runs[0]?.startBytes);
    expect(checksum(await readAll(pool, 'a'))).toBe(checksum(content(1, MIB)));
    const reason = expect.stringContaining('EIO');
    expect(store.repairs.named(10)).toMatchObject([{ diskId: first?.diskId, reason }]);
    expect(store.health.get(first?.diskId ?? 0).errorCount).toBe(1);
  });

  it('that was deleted meanwhile is no error to write down', async () => {
    const pool = makePool();
    await putFiles(pool, { a: content(1, 100) });
    const extentId = pool.extents('a')[0]?.extentId ?? 0;
    pool.remove('a');
    const late = { extentId, diskId: 1, reason: 'late', held: false, atMs: 0 };
    expect(pool.context.store.repairs.recordBad(late)).toBe('gone');
    expect(pool.context.store.repairs.all()).toEqual([]);
  });
});

it('reads around a disk that is away, and asks for it when it has the only replica', async () => {
  let pool = makePool({ diskCount: 2, replicaCount: 2 });
  const bytes = content(1, 5 * MIB);
  await putFiles(pool, { both: bytes });
  const [first, second] = pool.disks();
  await pool.put([fileEntry('one', bytes)], { replicaCount: 1 });
  const alone = pool.context.store.extents.replicas(pool.extents('one')[0]?.extentId ?? 0)[0];
  const holder = [first, second][(alone?.diskId ?? 1) - 1];

  renameSync(holder?.path ?? '', `${holder?.path}-away`);
  pool = await reopenPool(pool);
  expect(checksum(await readAll(pool, 'both'))).toBe(checksum(bytes));
  expect(pool.context.store.repairs.all()).toEqual([]);
  await expect(readAll(pool, 'one')).rejects.toMatchObject({
    code: 'ERR_DISK_UNAVAILABLE',
    nextStep: `Attach ${holder?.path} again.`,
  });
});

describe('heat', () => {
  it('goes up with every read, decays with time, and is kept by SQLite', async () => {
    let nowMs = 1_700_000_000_000;
    let pool = makePool({ clock: () => nowMs });
    await putFiles(pool, { a: content(1, 100) });
    const extent = () => pool.extents('a')[0];
    expect(heatAt(extent()?.heatScore ?? null, nowMs)).toBeCloseTo(1);
    for (let n = 0; n < 4; n += 1) await readAll(pool, 'a');
    expect(heatAt(extent()?.heatScore ?? null, nowMs)).toBeCloseTo(5);
    expect(heatTier(extent()?.heatScore ?? null, nowMs)).toBe('hot');
    expect(extent()).toMatchObject({ readCount: 4, writeCount: 1, lastAccessAtMs: nowMs });

    nowMs += HEAT_HALF_LIFE_MS;
    pool = await reopenPool(pool, { clock: () => nowMs });
    expect(heatAt(extent()?.heatScore ?? null, nowMs)).toBeCloseTo(2.5);
    expect(heatTier(extent()?.heatScore ?? null, nowMs + 10 * HEAT_HALF_LIFE_MS)).toBe('cold');
  });

  it('is not written by a reader that opened the pool read-only', async () => {
    const pool = makePool();
    const bytes = content(1, 100);
    await putFiles(pool, { a: bytes });
    const reader = openPool(pool.path, { mode: 'read' });
    expect(checksum(await readAll(reader, 'a'))).toBe(checksum(bytes));
    expect(pool.extents('a')[0]?.readCount).toBe(0);
    expectSound(reader);
  });
});
