/**
 * Discards on real devices: whole granules only, receipts from what the device counted, and never
 * without an exclusive hold on the very disk.
 */

import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { DiscardGrant } from '../../src/domain/tasks.js';
import { KIB, MIB } from '../../src/domain/units.js';
import { DeviceClaim, grantDiscard } from '../../src/kernel/device-claim.js';
import { discardedBytes } from '../../src/kernel/discard-counters.js';
import { discardDevice, eraseDevice } from '../../src/kernel/discard-device.js';
import { verifyDevice } from '../../src/pool/extent-pool/device-disk.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { forecastTrim, type TrimReceipt, trimBatch } from '../../src/pool/extent-pool/trim.js';
import type { DiskRow } from '../../src/store/disks.js';
import { discardOnDevice } from '../../workers/discard-device-ranges.js';
import { FaultDisk } from '../support/fault-disk.js';
import type { LoopDevice } from '../support/loop-device.js';
import { canMount } from '../support/loop-mounts.js';
import {
  allocatedBytesOf,
  checksum,
  closePool,
  content,
  expectSound,
  makeDevice,
  makePool,
  putFiles,
  readAll,
} from '../support/pool-fixture.js';

const KEPT = content('kept', 8 * MIB);

function diskOf(pool: ExtentPool): DiskRow {
  const [disk] = pool.context.store.disks.all();
  if (!disk) throw new Error('no disk');
  return disk;
}

async function trim(pool: ExtentPool, secureErase = false): Promise<TrimReceipt | undefined> {
  const batch = { disk: diskOf(pool), fromBytes: 0, bytesMax: 512 * MIB, secureErase };
  return (await trimBatch(pool.context, batch))?.receipt;
}

/** 8 MiB of garbage that were written, pending, before 8 MiB that are kept. */
async function withGarbage(device: Pick<LoopDevice, 'path'>): Promise<ExtentPool> {
  const pool = makePool({ diskCount: 0 });
  pool.addDisk(device.path);
  await putFiles(pool, { garbage: content('garbage', 8 * MIB), kept: KEPT });
  pool.remove('garbage');
  return pool;
}

async function expectKept(pool: ExtentPool): Promise<void> {
  expect(checksum(await readAll(pool, 'kept'))).toBe(checksum(KEPT));
  expectSound(pool);
}

describe.skipIf(!canMount)('a trim of a device', () => {
  it.each([512, 4096] as const)(
    'of %i-byte sectors frees what its receipt says',
    async (sectorBytes) => {
      const device = makeDevice({ sectorBytes });
      const pool = await withGarbage(device);
      const name = basename(device.path);
      const [before, counted] = [allocatedBytesOf(device.imagePath), discardedBytes(name)];
      const [forecast] = forecastTrim(pool.context, [diskOf(pool)]);
      expect(forecast).toMatchObject({ requestedBytes: 8 * MIB, reclaimableBytes: null });

      expect(await trim(pool)).toEqual({
        rangeCount: 1,
        requestedBytes: 8 * MIB,
        confirmable: true,
        confirmedBytes: 8 * MIB,
        reclaimedBytes: 8 * MIB,
        failedCount: 0,
        failedBytes: 0,
        refusedBytes: 0,
        unsupportedCount: 0,
        skippedBytes: 0,
        firstError: null,
      });
      expect(discardedBytes(name) - counted).toBe(8 * MIB);
      // The map of the image takes blocks of its own.
      expect(Math.abs(before - allocatedBytesOf(device.imagePath) - 8 * MIB)).toBeLessThan(
        64 * KIB,
      );
      expect(pool.disks()[0]?.pendingBytes).toBe(0);
      await expectKept(pool);
    },
  );

  it('on a partition whose granules begin within our blocks frees whole blocks only', async () => {
    const device = makeDevice();
    const path = device.partition(2049);
    const alignment = readFileSync(`/sys/class/block/${basename(path)}/discard_alignment`, 'utf8');
    expect(Number(alignment)).toBe(4096 - 512);
    const pool = await withGarbage({ path });
    const { diskId } = diskOf(pool);
    // A granule of each end is of its neighbours as well.
    expect(await trim(pool)).toMatchObject({
      requestedBytes: 8 * MIB - 4096,
      confirmedBytes: 8 * MIB - 4096,
      skippedBytes: 4096,
      failedCount: 0,
    });
    const runs = [...pool.context.store.space.iterate(diskId)];
    const uneven = runs.filter((run) => run.startBytes % 4096 || run.lengthBytes % 4096);
    expect(uneven).toEqual([]);
    expect(pool.disks()[0]?.pendingBytes).toBe(2 * 4096);
    // The edges are no reason to trim again.
    expect(await trim(pool)).toMatchObject({ rangeCount: 0, skippedBytes: 2 * 4096 });
    await putFiles(pool, { again: content('again', 8 * MIB) });
    expect(checksum(await readAll(pool, 'again'))).toBe(checksum(content('again', 8 * MIB)));
    await expectKept(pool);
  });

  it('on a device that begins within a block of its backing file frees what is inside', async () => {
    const device = makeDevice();
    device.detach();
    device.attach(['--offset=1536']);
    const pool = await withGarbage(device);
    const before = allocatedBytesOf(device.imagePath);
    expect(await trim(pool, true)).toMatchObject({ requestedBytes: 8 * MIB, failedCount: 0 });
    const freedBytes = before - allocatedBytesOf(device.imagePath);
    expect(Math.abs(freedBytes - 8 * MIB)).toBeLessThan(64 * KIB);
    await expectKept(pool);
  });

  it('that erases leaves zeros on it', async () => {
    const device = makeDevice();
    const pool = await withGarbage(device);
    const [due] = pool.context.store.discards.due(diskOf(pool).diskId, Date.now());
    if (!due) throw new Error('nothing is due');
    expect(await trim(pool, true)).toMatchObject({ confirmedBytes: 8 * MIB, failedCount: 0 });
    const fd = openSync(device.imagePath, 'r');
    const bytes = Buffer.alloc(due.lengthBytes, 1);
    readSync(fd, bytes, 0, bytes.length, due.startBytes);
    closeSync(fd);
    expect(bytes.equals(Buffer.alloc(due.lengthBytes))).toBe(true);
    await expectKept(pool);
  });

  it('that refuses says which device and why, and its space is free without a claim of bytes', async () => {
    await using fault = await FaultDisk.start(64 * MIB, { canTrim: false });
    const device = makeDevice({ imagePath: fault.imagePath });
    const pool = await withGarbage(device);
    const receipt = await trim(pool);
    expect(receipt).toMatchObject({ unsupportedCount: 1, confirmedBytes: 0, reclaimedBytes: 0 });
    expect(receipt?.firstError).toContain(`${device.path} does not discard: `);
    expect(pool.disks()[0]).toMatchObject({ pendingBytes: 0 });
    expect(pool.context.store.totals.read()).toMatchObject({
      trim_unsupported: 1,
      trim_bytes_confirmed: 0,
    });
    await expectKept(pool);
    await closePool(pool);
    device.detach();
  });

  it('that fails keeps the space pending, to be tried again later', async () => {
    await using fault = await FaultDisk.start(64 * MIB);
    const device = makeDevice({ imagePath: fault.imagePath });
    const pool = await withGarbage(device);
    await fault.fail({ op: 'trim', nth: 1, count: null });
    expect(await trim(pool)).toMatchObject({
      failedCount: 1,
      failedBytes: 8 * MIB,
      confirmedBytes: 0,
      firstError: expect.stringContaining(`cannot discard ${device.path}`),
    });
    expect(pool.disks()[0]).toMatchObject({ pendingBytes: 8 * MIB });
    await fault.fail(null);
    await expectKept(pool);
    await closePool(pool);
    device.detach();
  });
});

describe.skipIf(!canMount)('the right to discard', () => {
  function grantOn(pool: ExtentPool, disk: Pick<DiskRow, 'uuid' | 'capacityBytes'>) {
    const shared = pool.context.diskState(diskOf(pool)).claim;
    if (!shared) throw new Error('not claimed');
    return grantDiscard(shared.claim, (file) => verifyDevice(file, disk, pool.id));
  }

  it('is not given for another disk than the one that is there', async () => {
    const pool = await withGarbage(makeDevice());
    const disk = diskOf(pool);
    expect(() => grantOn(pool, { ...disk, uuid: crypto.randomUUID() })).toThrow(
      expect.objectContaining({ code: 'ERR_DISK_MISMATCH' }),
    );
    expect(() => grantOn(pool, { ...disk, capacityBytes: disk.capacityBytes + MIB })).toThrow(
      'shrank',
    );
  });

  it('holds the device even when the pool was closed meanwhile', async () => {
    const device = makeDevice();
    const pool = await withGarbage(device);
    {
      using granted = grantOn(pool, diskOf(pool));
      await closePool(pool);
      expect(DeviceClaim.take(device.path)).toBeNull();
      expect(fstatSync(granted.grant.fd).isBlockDevice()).toBe(true);
    }
    using claim = DeviceClaim.take(device.path);
    expect(claim).not.toBeNull();
  });

  it('is worth nothing once its descriptor is another file', async () => {
    const device = makeDevice();
    const fd = openSync(device.imagePath, 'r+');
    const stale = { fd, path: device.path, deviceNumber: 1 } as unknown as DiscardGrant;
    const run = { startBytes: 0, lengthBytes: MIB };
    try {
      expect(() => discardDevice(stale, run, MIB)).toThrow('is not');
      expect(() => eraseDevice(stale, run)).toThrow('is not');
    } finally {
      closeSync(fd);
    }
  });

  it('erases by zeros where the device has no secure discard', async () => {
    const pool = await withGarbage(makeDevice());
    using granted = grantOn(pool, diskOf(pool));
    expect(eraseDevice(granted.grant, { startBytes: 32 * MIB, lengthBytes: MIB })).toBe('zeros');
  });

  it('lets each range of a task end on its own', async () => {
    const device = makeDevice();
    const pool = await withGarbage(device);
    using granted = grantOn(pool, diskOf(pool));
    const good = { startBytes: 32 * MIB, lengthBytes: 3 * MIB };
    const beyond = { startBytes: 64 * MIB, lengthBytes: MIB };
    const task = { grant: granted.grant, name: basename(device.path), stepBytesMax: MIB };
    const ranges = [beyond, good];
    const outcomes = discardOnDevice(
      { path: device.path, ranges, secureErase: false, control: null, device: task },
      task,
    );
    expect(outcomes).toMatchObject([
      { kind: 'failed', error: { code: 'ERR_KERNEL' } },
      { kind: 'discarded', confirmedBytes: 3 * MIB },
    ]);
  });
});
