/**
 * What a pool counts of each of its disks: the bytes that it wrote and the trims that it issued, as
 * `disk health` shows them. The device's own counters are what they are compared with.
 */

import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { diskHealth, diskHealthText } from '../../src/cli/disk-health.js';
import { KIB, MIB } from '../../src/domain/units.js';
import { discardedBytes } from '../../src/kernel/discard-counters.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { rewriteReplica } from '../../src/pool/extent-pool/rewrite.js';
import { trimBatch } from '../../src/pool/extent-pool/trim.js';
import { openDatabase } from '../../src/store/database.js';
import { PoolStore } from '../../src/store/pool-store.js';
import { POOL_SCHEMA_STEPS } from '../../src/store/schema.js';
import { canFault, FaultDisk } from '../support/fault-disk.js';
import { canMount } from '../support/loop-mounts.js';
import {
  closePool,
  content,
  corruptReplica,
  makeDevice,
  makePool,
  putFiles,
  reopenPool,
} from '../support/pool-fixture.js';
import { tempDirectory } from '../support/temp-directory.js';

/** Frames of a journal and superblocks of the few steps of a test. */
const RECORDS_BYTES_MAX = 64 * KIB;

function healthOf(pool: ExtentPool, index = 0) {
  const disk = diskHealth(pool).disks[index];
  if (!disk) throw new Error('no disk');
  return disk;
}

async function trimFirst(pool: ExtentPool, secureErase = false): Promise<void> {
  const [disk] = pool.context.store.disks.all();
  if (!disk) throw new Error('no disk');
  await trimBatch(pool.context, { disk, fromBytes: 0, bytesMax: 512 * MIB, secureErase });
}

/** The kernel's count for a device. Source: Documentation/block/stat.rst, field 7. */
function kernelWrittenBytes(path: string): number {
  const text = readFileSync(`/sys/class/block/${basename(path)}/stat`, 'latin1');
  return Number(text.trim().split(/\s+/)[6]) * 512;
}

function expectBetween(actual: number, from: number, spare: number): void {
  expect(actual).toBeGreaterThanOrEqual(from);
  expect(actual).toBeLessThan(from + spare);
}

describe('the counts of a disk', () => {
  it('are what was written to it and punched out of it, also after a restart', async () => {
    let pool = makePool({ diskCount: 2, replicaCount: 2, capacityBytes: 64 * MIB });
    const fresh = diskHealth(pool).disks.map(({ counted }) => counted);
    for (const counted of fresh) {
      expect(counted).toMatchObject({ trimCalls: 0, trimBytes: 0, failedTrimCalls: 0 });
      expectBetween(counted.writtenBytes, 1, RECORDS_BYTES_MAX);
    }
    await putFiles(pool, { garbage: content(1, 2 * MIB + 1), kept: content(2, MIB) });
    for (const [index, { writtenBytes }] of fresh.entries()) {
      const grownBytes = healthOf(pool, index).counted.writtenBytes - writtenBytes;
      // A last block is written whole.
      expectBetween(grownBytes, 3 * MIB + 4096, RECORDS_BYTES_MAX);
    }
    pool.remove('garbage');
    await trimFirst(pool);
    pool = await reopenPool(pool);
    const { counted, trim } = healthOf(pool);
    expect(counted).toMatchObject({
      sinceMs: pool.context.store.disks.all()[0]?.addedAtMs,
      trimCalls: 1,
      trimBytes: 2 * MIB + 4096,
      failedTrimCalls: 0,
      failedTrimBytes: 0,
    });
    expect(trim).toMatchObject({ pendingBytes: 0, failedBytes: 0 });
    expect(healthOf(pool, 1)).toMatchObject({
      counted: { trimCalls: 0, trimBytes: 0 },
      trim: { pendingBytes: 2 * MIB + 4096 },
    });
    const text = diskHealthText(diskHealth(pool));
    expect(text).toMatch(/: 3\.\d+ MB written by this pool, 1 trims issued \(2\.00 MB\); since 2/);
    expect(text).toMatch(/, 0 trims issued \(0 B\); since/);
  });

  it('hold what a repair wrote, and the zeros of an erased directory', async () => {
    const pool = makePool({ diskCount: 2, replicaCount: 2, capacityBytes: 64 * MIB });
    await putFiles(pool, { a: content(1, MIB) });
    const [extent] = pool.extents('a');
    const extentId = extent?.extentId ?? 0;
    corruptReplica(pool, extentId, 1);
    const written = () => healthOf(pool).counted.writtenBytes;
    const before = written();
    await rewriteReplica(pool.context, { extentId, diskId: 1 }, 'repair');
    expectBetween(written() - before, MIB, RECORDS_BYTES_MAX);
    const repaired = written();
    await trimFirst(pool, true);
    expectBetween(written() - repaired, MIB, RECORDS_BYTES_MAX);
  });

  it('survive a transaction that is rolled back, and are of the disk that they were counted for', () => {
    const pool = makePool({ diskCount: 1, capacityBytes: 64 * MIB });
    const { store } = pool.context;
    const before = store.counters.ofDisk(1);
    const failing = () =>
      store.transaction(() => {
        store.counters.count(1, { writtenBytes: 5 });
        throw new Error('no');
      });
    expect(failing).toThrow('no');
    expect(store.counters.ofDisk(1)).toEqual(before);
    store.transaction(() => store.counters.count(1, { trimCalls: 1, trimBytes: 7 }));
    const writtenBytes = before.writtenBytes + 5;
    expect(store.counters.ofDisk(1)).toEqual({
      ...before,
      writtenBytes,
      trimCalls: 1,
      trimBytes: 7,
    });
    // Saved once.
    store.transaction(() => {});
    expect(store.counters.ofDisk(1)).toMatchObject({ writtenBytes });
    store.counters.count(9, { writtenBytes: 1 });
    store.transaction(() => {});
    expect(() => store.counters.ofDisk(9)).toThrow('unknown disk 9');
  });

  it('begin when a pool of an older version is first opened', () => {
    const path = join(tempDirectory('store'), 'pool.sqlite');
    const isCounting = (step: string) => step.includes('CREATE TABLE disk_counters');
    const before = POOL_SCHEMA_STEPS.slice(0, POOL_SCHEMA_STEPS.findIndex(isCounting));
    const old = openDatabase(path, before, { create: true });
    old.exec(
      `INSERT INTO disks (uuid, path, tier, capacity_bytes, reserve_bytes, granularity_bytes,
         journal_epoch, journal_tail_bytes, added_at_ms) VALUES ('u', '/d', 'hot', 9, 1, 1, 1, 0, 42)`,
    );
    old.close();
    const openedAtMs = Date.now();
    const store = new PoolStore(path);
    const counts = store.counters.ofDisk(1);
    store.close();
    expect(counts).toMatchObject({ writtenBytes: 0, trimCalls: 0 });
    expect(Math.abs(counts.sinceMs - openedAtMs)).toBeLessThan(60_000);
  });
});

describe.skipIf(!canMount)('the counts of a device', () => {
  it('agree with those of the kernel, and do not go over to the next one of its name', async () => {
    const device = makeDevice();
    const pool = makePool({ diskCount: 0 });
    pool.addDisk(device.path);
    const own = healthOf(pool).counted;
    const kernel = kernelWrittenBytes(device.path);
    const discarded = discardedBytes(basename(device.path));
    await putFiles(pool, { garbage: content(1, 8 * MIB), kept: content(2, 8 * MIB) });
    const ownBytes = healthOf(pool).counted.writtenBytes - own.writtenBytes;
    expectBetween(ownBytes, 16 * MIB, RECORDS_BYTES_MAX);
    expect(Math.abs(kernelWrittenBytes(device.path) - kernel - ownBytes)).toBeLessThan(256 * KIB);
    pool.remove('garbage');
    await trimFirst(pool);
    expect(healthOf(pool)).toMatchObject({
      counted: { trimCalls: 1, trimBytes: 8 * MIB, failedTrimCalls: 0 },
      trim: { kernelDiscardedBytes: discarded + 8 * MIB },
    });
    expect(diskHealthText(diskHealth(pool))).toMatch(
      /: [\d.]+ [KMGT]?B discarded under the device's name since boot, by anyone/,
    );
    await closePool(pool);

    const { path } = device;
    device.detach();
    // The lowest free number: the same name, unless another test was faster.
    const next = makeDevice();
    const other = makePool({ diskCount: 0 });
    other.addDisk(next.path);
    expect(healthOf(other).counted).toMatchObject({ trimCalls: 0, trimBytes: 0 });
    if (next.path === path) {
      const { kernelDiscardedBytes } = healthOf(other).trim;
      expect(kernelDiscardedBytes).toBeGreaterThanOrEqual(8 * MIB);
    }
  });

  it.skipIf(!canFault)('tell the trims that failed from those that did not', async () => {
    await using fault = await FaultDisk.start(64 * MIB);
    const device = makeDevice({ imagePath: fault.imagePath });
    let nowMs = Date.now();
    const pool = makePool({ diskCount: 0, clock: () => nowMs });
    pool.addDisk(device.path);
    await putFiles(pool, { garbage: content(1, 8 * MIB) });
    pool.remove('garbage');
    await fault.fail({ op: 'trim', nth: 1, count: null });
    await trimFirst(pool);
    const failed = { failedTrimCalls: 1, failedTrimBytes: 8 * MIB };
    expect(healthOf(pool)).toMatchObject({
      counted: { trimCalls: 1, trimBytes: 8 * MIB, ...failed },
      trim: { pendingBytes: 8 * MIB, failedBytes: 8 * MIB },
    });
    expect(diskHealthText(diskHealth(pool))).toContain(
      '1 trims issued (8.00 MB), of which 1 (8.00 MB) failed; since',
    );
    await fault.fail(null);
    nowMs += 24 * 3_600_000;
    await trimFirst(pool);
    expect(healthOf(pool)).toMatchObject({
      counted: { trimCalls: 2, trimBytes: 16 * MIB, ...failed },
      trim: { pendingBytes: 0, failedBytes: 0 },
    });
    await closePool(pool);
    device.detach();
  });
});
