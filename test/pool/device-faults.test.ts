/**
 * Devices that fail: reads are served from another replica and the bad one is counted, writes are
 * refused and leave nothing behind, and nothing waits for ever. The faults are real ones, of a loop
 * device on a server that obeys the test.
 */

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KIB, MIB } from '../../src/domain/units.js';
import { lookAtDisks } from '../../src/pool/extent-pool/disk-watch.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { rewriteReplica } from '../../src/pool/extent-pool/rewrite.js';
import { FaultDisk } from '../support/fault-disk.js';
import type { LoopDevice } from '../support/loop-device.js';
import { canMount } from '../support/loop-mounts.js';
import {
  checksum,
  closePool,
  content,
  expectSound,
  fileEntry,
  inventory,
  makeDevice,
  makePool,
  openPool,
  putFiles,
  readAll,
} from '../support/pool-fixture.js';

const BYTES = content('faults', 4 * MIB);
/** Data, not superblocks and journal frames. */
const DATA = { bytesMin: 64 * KIB };
const GRACE_MS = 3_600_000;

let fault: FaultDisk;
let device: LoopDevice;
let pool: ExtentPool;

async function start(): Promise<void> {
  fault = await FaultDisk.start(64 * MIB);
  device = makeDevice({ imagePath: fault.imagePath });
  // Disk 1 fails when it is told to, disk 2 is a directory and does not.
  pool = makePool({ diskCount: 0, extentBytes: MIB, replicaCount: 2 });
  pool.addDisk(device.path);
  pool.addDisk(`${pool.path}-directory`, { capacityBytes: 64 * MIB });
  await putFiles(pool, { a: BYTES });
  // A device that nobody has open any more has nothing in memory.
  await closePool(pool);
  pool = openPool(pool.path);
}

async function stop(): Promise<void> {
  await closePool(pool);
  device.detach();
  await fault[Symbol.asyncDispose]();
}

describe.skipIf(!canMount)('a device', () => {
  beforeEach(start);
  afterEach(stop);

  it('that cannot read is passed over, and its replicas are counted as bad', async () => {
    // All but superblock and journal; of a disk that cannot read those either, nothing is noted.
    await fault.fail({ op: 'read', nth: 1, count: null, fromBytes: 2 * MIB });
    expect(checksum(await readAll(pool, 'a'))).toBe(checksum(BYTES));
    expect(await fault.hitCount()).toBeGreaterThan(0);
    const bad = pool.context.store.repairs.all();
    expect(bad.map(({ diskId }) => diskId)).toEqual(bad.map(() => 1));
    expect(bad.length).toBe(4);
    expect(pool.context.store.totals.read().bad_replicas_seen).toBe(4);

    // The repair writes it anew and reads it back.
    await fault.fail(null);
    for (const { extentId } of pool.extents('a')) {
      await rewriteReplica(pool.context, { extentId, diskId: 1 }, 'repair');
    }
    expect(pool.context.store.repairs.all()).toEqual([]);
    expectSound(pool);
  });

  it('that cannot write fails the put, which leaves nothing, and works again afterwards', async () => {
    await fault.fail({ op: 'write', nth: 1, count: null });
    await expect(pool.put([fileEntry('b', BYTES)])).rejects.toMatchObject({ code: 'ERR_KERNEL' });
    await fault.fail(null);
    expect(pool.metadata('b')).toBeNull();
    expectSound(pool);
    await putFiles(pool, { b: BYTES });
    expect(await inventory(pool)).toEqual({ a: checksum(BYTES), b: checksum(BYTES) });
    expectSound(pool);
  });

  it('that cannot flush fails the put, too', async () => {
    await fault.fail({ op: 'flush', nth: 1, count: 1 });
    await expect(pool.put([fileEntry('b', BYTES)])).rejects.toMatchObject({ code: 'ERR_KERNEL' });
    expect(pool.metadata('b')).toBeNull();
    expectSound(pool);
  });

  it('that flips a bit on writing is caught by the read-back of a rewrite', async () => {
    const [extent] = pool.extents('a');
    if (!extent) throw new Error('no extent');
    await fault.fail({ op: 'write', nth: 1, count: 1, flip: true, ...DATA });
    const move = rewriteReplica(pool.context, { extentId: extent.extentId, diskId: 1 }, 'repair');
    await expect(move).rejects.toMatchObject({
      code: 'ERR_CHECKSUM_MISMATCH',
      message: expect.stringContaining(`${device.path} did not keep what was written to it`),
    });
    expect(await inventory(pool)).toEqual({ a: checksum(BYTES) });
    expectSound(pool);
  });

  it('that errs on writes of any kind is given up after eight of them, and used no more', async () => {
    const { store } = pool.context;
    const errors = () => store.health.get(1).errorCount;
    const [extent] = pool.extents('a');
    await fault.fail({ op: 'write', nth: 1, count: null });
    await expect(pool.put([fileEntry('b', BYTES)])).rejects.toThrow('cannot write');
    expect(errors()).toBe(1);
    await expect(pool.put([fileEntry('c', content('c', 100))])).rejects.toThrow('cannot flush');
    expect(errors()).toBe(2);
    // Only the journal: nothing else is written.
    expect(() => pool.remove('a')).toThrow('cannot flush');
    expect(errors()).toBe(3);
    const bad = { extentId: extent?.extentId ?? 0, diskId: 1 };
    await expect(rewriteReplica(pool.context, bad, 'repair')).rejects.toThrow('cannot write');
    expect(errors()).toBe(4);
    await fault.fail({ op: 'flush', nth: 1, count: null });
    await expect(pool.put([fileEntry('b', BYTES)])).rejects.toThrow('cannot flush');
    expect(errors()).toBe(5);
    lookAtDisks(pool.context, GRACE_MS);
    expect(store.health.get(1).state).toBe('healthy');

    for (let n = 0; n < 3; n += 1) expect(() => pool.remove('a')).toThrow('cannot flush');
    lookAtDisks(pool.context, GRACE_MS);
    expect(store.health.get(1)).toMatchObject({
      state: 'degraded',
      reason: '8 reads or writes failed',
    });
    await putFiles(pool, { b: BYTES }, { replicaCount: 1 });
    pool.remove('b');
    expect(await inventory(pool)).toEqual({ a: checksum(BYTES) });
    expectSound(pool);
  });

  it('that is slow is waited for', async () => {
    await fault.fail({ op: 'write', nth: 1, count: 8, delayMs: 100 });
    await putFiles(pool, { b: BYTES });
    expect(await fault.hitCount()).toBeGreaterThan(0);
    expect(await inventory(pool)).toEqual({ a: checksum(BYTES), b: checksum(BYTES) });
  });

  it('that vanishes leaves its objects readable, and is told to be missing', async () => {
    await fault.vanish();
    expect(checksum(await readAll(pool, 'a'))).toBe(checksum(BYTES));
    await expect(pool.put([fileEntry('b', BYTES)])).rejects.toMatchObject({ code: 'ERR_KERNEL' });
    await closePool(pool);
    pool = openPool(pool.path);
    expect(pool.disks().map(({ condition }) => condition)).toEqual(['missing', 'online']);
    await putFiles(pool, { b: BYTES }, { replicaCount: 1 });
    expect(await inventory(pool)).toEqual({ a: checksum(BYTES), b: checksum(BYTES) });
    expectSound(pool);
  });
});
