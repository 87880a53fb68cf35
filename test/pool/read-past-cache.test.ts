/**
 * Large extents of raw devices are read past the page cache, in several requests, straight to where
 * they are wanted: the content to its last byte, a bad replica is noticed wherever it is bad, and what
 * the disk cannot read counts as an error of the disk.
 */

import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { KIB, MIB } from '../../src/domain/units.js';
import { alignedSharedMemory } from '../../src/kernel/shared-memory.js';
import { lookAtDisks } from '../../src/pool/extent-pool/disk-watch.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { readExtents } from '../../workers/read-extents.js';
import { until } from '../support/agent-lab.js';
import { canFault } from '../support/fault-disk.js';
import { HANGING, HangingPool } from '../support/hanging-pool.js';
import { canMount } from '../support/loop-mounts.js';
import {
  checksum,
  content,
  corruptReplica,
  expectSound,
  makeDevice,
  makePool,
  patchFile,
  putFiles,
  readAll,
} from '../support/pool-fixture.js';
import { tempDirectory } from '../support/temp-directory.js';

const TIMEOUT_MS = 2_000;
const GRACE_MS = 3_600_000;
/** As many extents as there are threads: each of them is being read when the disk hangs. */
const BYTES = content('a', 2 * MIB);
const DEVICES = { diskCount: 2, replicaCount: 2, devices: [1, 2] };

/** The replica of an extent that is read first. */
function firstReplica(pool: ExtentPool, name: string, extentIndex: number) {
  const extentId = pool.extents(name)[extentIndex]?.extentId ?? 0;
  const [replica] = pool.context.readableReplicas(extentId);
  if (!replica) throw new Error('no replica');
  return { extentId, replica };
}

describe.skipIf(!canMount)('an extent of a raw device', () => {
  it.each([
    ['ends with its last block', 6 * MIB],
    ['ends in the middle of a block', 5 * MIB + 1000],
    ['is one byte longer than its blocks', 5 * MIB + 4 * KIB + 1],
    ['is too small for it, behind one that is not', 4 * MIB + 5],
  ])('that %s is read whole, as a stream and into a file', async (_, sizeBytes) => {
    const pool = makePool({ devices: [1] });
    const bytes = content(sizeBytes, sizeBytes);
    await putFiles(pool, { a: bytes, b: content('b', 3 * MIB + 7), c: content('c', 9) });
    expect(checksum(await readAll(pool, 'a'))).toBe(checksum(bytes));
    const out = join(tempDirectory('out'), 'a');
    await pool.get('a', out);
    expect(checksum(readFileSync(out))).toBe(checksum(bytes));
  });

  it('is read from the disk, whatever the page cache has of it', async () => {
    const device = makeDevice({ sizeBytes: 64 * MIB });
    const pool = makePool({ replicaCount: 2 });
    pool.addDisk(device.path);
    const bytes = content(1, 2 * MIB);
    await putFiles(pool, { a: bytes });
    const extentId = pool.extents('a')[0]?.extentId ?? 0;
    const replica = pool.context.readableReplicas(extentId).find(({ diskId }) => diskId === 2);
    const atBytes = (replica?.runs[0]?.startBytes ?? 0) + MIB;
    const fd = openSync(device.path, 'r');
    readSync(fd, Buffer.alloc(4 * KIB), 0, 4 * KIB, atBytes);
    patchFile(device.imagePath, atBytes, (block) => block.fill(0));
    closeSync(fd);

    const memory = alignedSharedMemory(2 * MIB);
    const extent = pool.extents('a')[0];
    const destination = { kind: 'memory', memory } as const;
    const replicas = replica ? [replica] : [];
    const row = pool.context.store.extents.get(extentId);
    const { checksum: sum = Buffer.alloc(0) } = row ?? {};
    const asked = { extentId, sizeBytes: extent?.sizeBytes ?? 0, checksum: sum, destination };
    const badReplicas = [{ diskId: 2, reason: 'wrong checksum' }];
    expect(readExtents({ extents: [{ ...asked, replicas }] })).toEqual([
      { extentId, badReplicas, good: false },
    ]);
    // Another one in the same memory.
    const all = [...replicas, ...pool.context.readableReplicas(extentId).slice(0, 1)];
    expect(readExtents({ extents: [{ ...asked, replicas: all }] })).toEqual([
      { extentId, badReplicas, good: true },
    ]);
    expect(checksum(new Uint8Array(memory))).toBe(checksum(bytes));
  });

  it('whose replica is bad is read from another one, between others that are good', async () => {
    const pool = makePool(DEVICES);
    const bytes = content(2, 19 * MIB + 3);
    await putFiles(pool, { a: bytes });
    for (const index of [0, 2, 4]) {
      const { extentId, replica } = firstReplica(pool, 'a', index);
      corruptReplica(pool, extentId, replica.diskId);
    }
    expect(checksum(await readAll(pool, 'a'))).toBe(checksum(bytes));
    expect(pool.context.store.totals.read().bad_replicas_seen).toBe(3);
    const out = join(tempDirectory('out'), 'a');
    await pool.get('a', out);
    expect(checksum(readFileSync(out))).toBe(checksum(bytes));
    expectSound(pool);
  });
});

describe.skipIf(!canFault)('a disk', () => {
  let lab: HangingPool;

  beforeEach(async () => {
    lab = await HangingPool.make({ a: BYTES });
    // Threads of its own: some are left behind.
    await lab.reopen({ diskTimeoutMs: TIMEOUT_MS, threadCount: 2 });
  });
  afterEach(async () => lab[Symbol.asyncDispose]());

  it('that fails in the middle of an extent is read around, and its error counted', async () => {
    const { context } = lab.pool;
    const { runs } = context.store.extents
      .replicas(lab.pool.extents('a')[1]?.extentId ?? 0)
      .find(({ diskId }) => diskId === HANGING) ?? { runs: [] };
    await lab.failReads((runs[0]?.startBytes ?? 0) + MIB / 2);
    expect(checksum(await readAll(lab.pool, 'a'))).toBe(checksum(BYTES));
    const found = context.store.repairs.named(10);
    expect(found.length).toBeGreaterThan(0);
    for (const one of found) {
      expect(one).toMatchObject({ diskId: HANGING, reason: expect.stringContaining('EIO') });
    }
    expect(context.store.health.get(HANGING).errorCount).toBe(found.length);
  });

  it('that hangs keeps the memory that is read into, until its thread has come back', async () => {
    const { context } = lab.pool;
    const { readMemory } = context;
    const taken = vi.spyOn(readMemory, 'take');
    const givenBack = vi.spyOn(readMemory, 'giveBack');
    expect(lab.pool.disks()[0]?.condition).toBe('online');
    lab.hang();
    const read = readAll(lab.pool, 'a');
    await until('it is noticed', () => {
      lookAtDisks(context, GRACE_MS);
      return context.store.health.get(HANGING).reason === 'it does not answer';
    });
    // From the other disk, into other memory.
    expect(checksum(await read)).toBe(checksum(BYTES));
    const firstTaken = taken.mock.results.slice(0, 2).map(({ value }) => value);
    const backCount = () =>
      givenBack.mock.calls.filter(([memory]) => firstTaken.includes(memory)).length;
    expect(backCount()).toBe(0);
    lab.goOn();
    await until('the threads are back', () => backCount() === 2);
  });
});
