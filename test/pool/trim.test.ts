/**
 * The discard protocol on a real file system: what is freed is seen to be freed, what fails is kept
 * and tried later, and nothing that is being discarded is given away.
 */

import { closeSync, openSync, readSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { KIB, MIB, totalBytes } from '../../src/domain/units.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { forecastTrim, type TrimReceipt, trimBatch } from '../../src/pool/extent-pool/trim.js';
import {
  allocatedBytesOf,
  backingFiles,
  checksum,
  content,
  expectSound,
  fileEntry,
  fragmentFreeSpace,
  makePool,
  openPool,
  putFiles,
  readAll,
  reopenPool,
} from '../support/pool-fixture.js';

function diskOf(pool: ExtentPool) {
  const [disk] = pool.context.store.disks.all();
  if (!disk) throw new Error('no disk');
  return disk;
}

/** Batches until nothing is due, as a run makes them. */
async function trimAll(
  pool: ExtentPool,
  options: { bytesMax?: number; secureErase?: boolean } = {},
): Promise<TrimReceipt[]> {
  const { bytesMax = 512 * MIB, secureErase = false } = options;
  const receipts: TrimReceipt[] = [];
  for (let fromBytes = 0; ; ) {
    const batch = { disk: diskOf(pool), fromBytes, bytesMax, secureErase };
    const done = await trimBatch(pool.context, batch);
    if (!done) return receipts;
    receipts.push(done.receipt);
    fromBytes = done.nextBytes;
  }
}

function sum(receipts: readonly TrimReceipt[], pick: (receipt: TrimReceipt) => number): number {
  return receipts.reduce((total, receipt) => total + pick(receipt), 0);
}

/** The map of a file with holes takes blocks of its own. */
function expectNear(actualBytes: number, expectedBytes: number): void {
  expect(Math.abs(actualBytes - expectedBytes)).toBeLessThan(64 * KIB);
}

/** Two 8 MiB objects; the first one deleted, so that its space is pending and was written to. */
async function poolWithGarbage(clock?: () => number): Promise<ExtentPool> {
  const pool = makePool({ capacityBytes: 64 * MIB, ...(clock ? { clock } : {}) });
  await putFiles(pool, { garbage: content('garbage', 8 * MIB), kept: content('kept', 8 * MIB) });
  pool.remove('garbage');
  return pool;
}

describe('a trim', () => {
  it('makes the backing file smaller by what the receipt says', async () => {
    const pool = await poolWithGarbage();
    const [file = ''] = backingFiles(pool);
    const before = allocatedBytesOf(file);
    const [receipt] = await trimAll(pool);
    expect(receipt).toEqual({
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
    expectNear(before - allocatedBytesOf(file), 8 * MIB);
    expect(pool.disks()[0]?.pendingBytes).toBe(0);
    expect(checksum(await readAll(pool, 'kept'))).toBe(checksum(content('kept', 8 * MIB)));
    expectSound(pool);
  });

  it('does what its forecast said, in however many batches', async () => {
    const pool = makePool({ capacityBytes: 64 * MIB });
    await fragmentFreeSpace(pool, 100 * KIB);
    const [forecast] = forecastTrim(pool.context, [diskOf(pool)]);
    const [file = ''] = backingFiles(pool);
    const before = allocatedBytesOf(file);
    const receipts = await trimAll(pool, { bytesMax: 3 * MIB });
    expect(receipts.length).toBeGreaterThan(5);
    expect(sum(receipts, (r) => r.requestedBytes)).toBe(forecast?.requestedBytes);
    expect(sum(receipts, (r) => r.reclaimedBytes)).toBe(forecast?.reclaimableBytes);
    expectNear(before - allocatedBytesOf(file), forecast?.reclaimableBytes ?? 0);
    expect(pool.context.store.totals.read()).toMatchObject({
      trim_bytes_requested: forecast?.requestedBytes,
      trim_bytes_confirmed: forecast?.requestedBytes,
      trim_operations: receipts.length,
    });
    expect(await trimAll(pool)).toEqual([]);
    expectSound(pool);
  });

  it('leaves the edges of a granule pending, and counts them', async () => {
    const pool = makePool({ capacityBytes: 64 * MIB });
    const { context } = pool;
    const files = Object.fromEntries(
      Array.from({ length: 40 }, (_, n) => [`f${n}`, content(n, 4 * KIB)]),
    );
    await putFiles(pool, files);
    for (const n of [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 30]) pool.remove(`f${n}`);
    const granule = 16 * KIB;
    const disk = { ...diskOf(pool), granularityBytes: granule };
    const batch = { disk, fromBytes: 0, bytesMax: 50 * MIB, secureErase: false };
    const done = await trimBatch(context, batch);
    expect(done?.receipt.skippedBytes).toBeGreaterThan(0);
    expect((done?.receipt.requestedBytes ?? 1) % granule).toBe(0);
    expect(pool.disks()[0]?.pendingBytes).toBe(done?.receipt.skippedBytes);
    expectSound(pool);
  });

  it('that erases leaves zeros where the data was', async () => {
    const pool = await poolWithGarbage();
    const [due] = pool.context.store.discards.due(1, Date.now());
    const [receipt] = await trimAll(pool, { secureErase: true });
    expect(receipt).toMatchObject({ reclaimedBytes: 8 * MIB, failedCount: 0 });
    const fd = openSync(backingFiles(pool)[0] ?? '', 'r');
    const bytes = Buffer.alloc(due?.lengthBytes ?? 0, 1);
    readSync(fd, bytes, 0, bytes.length, due?.startBytes ?? 0);
    closeSync(fd);
    expect(bytes.equals(Buffer.alloc(8 * MIB))).toBe(true);
  });
});

describe('a discard that the kernel refuses', () => {
  /** A device in the place of the backing file: it can be opened, and has no holes to punch. */
  async function withoutHoles<T>(pool: ExtentPool, act: () => Promise<T>): Promise<T> {
    const [file = ''] = backingFiles(pool);
    renameSync(file, `${file}.away`);
    symlinkSync('/dev/null', file);
    try {
      return await act();
    } finally {
      rmSync(file);
      renameSync(`${file}.away`, file);
    }
  }

  it('is counted, stays pending, and is tried again after a while that doubles', async () => {
    let nowMs = 1_000_000;
    const pool = await poolWithGarbage(() => nowMs);
    const dueBytes = () => totalBytes(pool.context.store.discards.due(1, nowMs));
    for (const waitMs of [60_000, 120_000, 240_000]) {
      const [receipt] = await withoutHoles(pool, () => trimAll(pool));
      expect(receipt).toMatchObject({
        requestedBytes: 8 * MIB,
        confirmedBytes: 0,
        reclaimedBytes: 0,
        failedCount: 1,
        failedBytes: 8 * MIB,
        firstError: expect.stringContaining('punch a hole in'),
      });
      expect(pool.disks()[0]).toMatchObject({ pendingBytes: 8 * MIB });
      expect(dueBytes()).toBe(0);
      nowMs += waitMs - 1;
      expect(dueBytes()).toBe(0);
      nowMs += 1;
      expect(dueBytes()).toBe(8 * MIB);
    }
    expect(pool.context.store.totals.read()).toMatchObject({
      trim_failures: 3,
      trim_bytes_confirmed: 0,
    });
    const [last] = await trimAll(pool);
    expect(last).toMatchObject({ reclaimedBytes: 8 * MIB, failedCount: 0 });
    expectSound(pool);
  });

  it('altogether, because the disk is gone, leaves all pending', async () => {
    const pool = await poolWithGarbage();
    const [file = ''] = backingFiles(pool);
    renameSync(file, `${file}.away`);
    await expect(trimAll(pool)).rejects.toMatchObject({ code: 'ERR_TARGET_NOT_FOUND' });
    renameSync(`${file}.away`, file);
    expect(pool.disks()[0]?.pendingBytes).toBe(8 * MIB);
    expect(pool.context.store.space.totals(1).discardingBytes).toBe(0);
    expectSound(pool);
  });
});

describe('space that is being discarded', () => {
  it('is given to nobody, and pending again when the process that did it is gone', async () => {
    let pool = await poolWithGarbage();
    const { context } = pool;
    const owner = context.writer.newOwner();
    context.store.discards.mark(1, 0, 512 * MIB, Date.now(), owner);
    await putFiles(pool, { more: content('more', 8 * MIB) });
    expect(context.store.space.totals(1)).toMatchObject({
      discardingBytes: 8 * MIB,
      pendingBytes: 0,
    });
    pool = await reopenPool(pool);
    expect(pool.context.store.space.totals(1)).toMatchObject({
      discardingBytes: 0,
      pendingBytes: 8 * MIB,
    });
    expectSound(pool);
  });

  it('by one process is not touched by the trim of another', async () => {
    const pool = await poolWithGarbage();
    const { context } = pool;
    const owner = context.writer.newOwner();
    const marked = context.store.discards.mark(1, 0, 4 * MIB, Date.now(), owner);
    const other = openPool(pool.path);
    const receipts = await trimAll(other);
    expect(sum(receipts, (r) => r.requestedBytes)).toBe(4 * MIB);
    expect(context.store.space.totals(1).discardingBytes).toBe(totalBytes(marked));
  });

  it('is left alone by an agent that lost the pool', async () => {
    const pool = await poolWithGarbage();
    pool.context.ownerEpoch = pool.context.store.owner.acquire('old', 1);
    pool.context.store.owner.acquire('new', 2);
    await expect(trimAll(pool)).rejects.toMatchObject({ code: 'ERR_TARGET_BUSY' });
    expect(pool.disks()[0]?.pendingBytes).toBe(8 * MIB);
  });
});

it('a put takes pending space back, which saves its discard', async () => {
  const pool = await poolWithGarbage();
  await pool.put([fileEntry('again', content('again', 8 * MIB))]);
  expect(pool.disks()[0]?.pendingBytes).toBe(0);
  expect(await trimAll(pool)).toEqual([]);
});
