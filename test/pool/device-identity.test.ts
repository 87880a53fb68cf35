/**
 * A device is what its superblock says, not what it is called: found under any name, and refused with
 * the reason when it shrank, was overwritten or is another one.
 */

import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { KIB, MIB } from '../../src/domain/units.js';
import { readDeviceSuperblock } from '../../src/pool/extent-pool/device-disk.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { recoverPool } from '../../src/pool/extent-pool/recover.js';
import { beginEvacuation, finishEvacuation } from '../../src/pool/extent-pool/remove-disk.js';
import { rewriteReplica } from '../../src/pool/extent-pool/rewrite.js';
import type { LoopDevice } from '../support/loop-device.js';
import { canMount } from '../support/loop-mounts.js';
import {
  checksum,
  closePool,
  content,
  expectSound,
  inventory,
  makeDevice,
  makePool,
  openPool,
  putFiles,
} from '../support/pool-fixture.js';

const BYTES = content('identity', 2 * MIB + 5);
const SIZE = 64 * MIB;

/** Both replicas of everything on two devices. */
async function poolOnDevices(): Promise<{
  pool: ExtentPool;
  first: LoopDevice;
  second: LoopDevice;
}> {
  const [first, second] = [makeDevice({ sizeBytes: SIZE }), makeDevice({ sizeBytes: SIZE })];
  const pool = makePool({ diskCount: 0, extentBytes: MIB, replicaCount: 2 });
  for (const { path } of [first, second]) pool.addDisk(path);
  await putFiles(pool, { a: BYTES });
  return { pool, first, second };
}

function states(pool: ExtentPool) {
  return pool.disks().map(({ condition, path }) => ({ condition, path }));
}

function overwrite(path: string, atBytes: number, lengthBytes: number): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, Buffer.alloc(lengthBytes, 0x5a), 0, lengthBytes, atBytes);
  closeSync(fd);
}

describe.skipIf(!canMount)('a device of a pool', () => {
  it('is found when names were swapped, and remembered under its new one', async () => {
    const { pool, first, second } = await poolOnDevices();
    const before = states(pool);
    await closePool(pool);
    first.detach();
    second.detach();
    // The lowest free number first: they come up in the other order.
    second.attach();
    first.attach();
    const reader = openPool(pool.path, { mode: 'read' });
    const expected = [first, second].map(({ path }) => ({ condition: 'online', path }));
    expect(states(reader)).toEqual(expected);
    expect(await inventory(reader)).toEqual({ a: checksum(BYTES) });
    await closePool(reader);
    const writer = openPool(pool.path);
    expect(states(writer)).toEqual(expected);
    expect(writer.context.store.disks.all().map(({ path }) => path)).toEqual(
      expected.map(({ path }) => path),
    );
    await putFiles(writer, { b: BYTES });
    expectSound(writer);
    expect(before.map(({ path }) => path)).toHaveLength(2);
  });

  it('that is away is missed and welcomed back, and its journal is brought up to date', async () => {
    const { pool, second } = await poolOnDevices();
    await closePool(pool);
    second.detach();
    let again = openPool(pool.path);
    // Another test may have a device of that name by now.
    const [here, away] = states(again).map(({ condition }) => condition);
    expect(here).toBe('online');
    expect(['missing', 'mismatch']).toContain(away);
    await again.put([], {});
    again.remove('a');
    await closePool(again);
    second.attach();
    again = openPool(pool.path);
    expect(states(again).map(({ condition }) => condition)).toEqual(['online', 'online']);
    expectSound(again);
  });

  it('that shrank is refused by name, one that grew is taken as it was', async () => {
    const { pool, first, second } = await poolOnDevices();
    const [before] = pool.disks();
    await closePool(pool);
    first.resize(SIZE + 10 * MIB + 512);
    second.resize(SIZE - MIB);
    const again = openPool(pool.path);
    const [grown, shrunk] = again.disks();
    expect(grown).toMatchObject({ condition: 'online', capacityBytes: before?.capacityBytes });
    expect(shrunk).toMatchObject({
      condition: 'mismatch',
      problem: expect.stringContaining(
        `${second.path} shrank: disk ${shrunk?.uuid} needs 64.00 MB`,
      ),
    });
    expect(await inventory(again)).toEqual({ a: checksum(BYTES) });
  });

  it('whose beginning was damaged goes on with its copy, which repairs it', async () => {
    const { pool, first } = await poolOnDevices();
    await closePool(pool);
    for (const at of [0, 512 * KIB]) overwrite(first.path, at, 4096);
    const again = openPool(pool.path);
    expect(states(again)[0]).toMatchObject({ condition: 'online' });
    again.addDisk(makeDevice({ sizeBytes: SIZE }).path);
    await closePool(again);
    // Written anew at the beginning: it stands without the copy.
    for (const at of [SIZE - MIB, SIZE - 512 * KIB]) overwrite(first.path, at, 4096);
    expect(readDeviceSuperblock(first.path)?.members).toHaveLength(3);
    expect(await inventory(openPool(pool.path))).toEqual({ a: checksum(BYTES) });
  });

  it('on which somebody made a file system is theirs now', async () => {
    const { pool, first } = await poolOnDevices();
    await closePool(pool);
    const options = ['-q', '-F', '-E', 'nodiscard,lazy_itable_init=0'];
    execFileSync('mkfs.ext4', [...options, first.path, '8M'], { stdio: 'pipe' });
    // The second slot lies where that file system has not written; mkfs of others wipes it, too.
    overwrite(first.path, 512 * KIB, 4096);
    const again = openPool(pool.path);
    expect(again.disks()[0]).toMatchObject({
      condition: 'mismatch',
      problem: expect.stringContaining('was overwritten: it has a ext4 file system'),
    });
    expect(await inventory(again)).toEqual({ a: checksum(BYTES) });
  });

  it('that another pool took by force is not touched', async () => {
    const { pool, first } = await poolOnDevices();
    await closePool(pool);
    const thief = makePool({ diskCount: 0 });
    thief.addDisk(first.path, { force: true });
    await closePool(thief);
    const again = openPool(pool.path);
    expect(again.disks()[0]).toMatchObject({
      condition: 'mismatch',
      problem: expect.stringContaining(`belongs to pool ${thief.id}`),
    });
  });

  it('that is set read-only is read and not written', async () => {
    const { pool, second } = await poolOnDevices();
    await closePool(pool);
    execFileSync('blockdev', ['--setro', second.path]);
    try {
      const again = openPool(pool.path);
      expect(states(again).map(({ condition }) => condition)).toEqual(['online', 'read-only']);
      expect(await inventory(again)).toEqual({ a: checksum(BYTES) });
      await closePool(again);
    } finally {
      execFileSync('blockdev', ['--setrw', second.path]);
    }
  });

  it('leads recover to the others, whatever they are called now', async () => {
    const { pool, first, second } = await poolOnDevices();
    await closePool(pool);
    first.detach();
    second.detach();
    second.attach();
    first.attach();
    for (const name of readdirSync(pool.path)) rmSync(join(pool.path, name), { recursive: true });
    const report = await recoverPool(pool.path, [first.path]);
    expect(report).toMatchObject({ objectCount: 1, missingDisks: [], incompleteObjects: [] });
    const again = openPool(pool.path);
    expect(await inventory(again)).toEqual({ a: checksum(BYTES) });
    expectSound(again);
  });

  it('is blank when it was evacuated and removed', async () => {
    const { pool, first } = await poolOnDevices();
    pool.addDisk(makeDevice({ sizeBytes: SIZE }).path);
    const { store } = pool.context;
    const disk = store.disks.all()[0];
    if (!disk) throw new Error('no disk');
    beginEvacuation(pool.context, disk);
    for (const candidate of store.candidates.onDisk(0, disk.diskId, 100)) {
      await rewriteReplica(pool.context, candidate, 'evacuate');
    }
    expect(finishEvacuation(pool.context, disk)).toBe(true);
    expect(readDeviceSuperblock(first.path)).toBeNull();
    expect(await inventory(pool)).toEqual({ a: checksum(BYTES) });
    expectSound(pool);
    expect(makePool({ diskCount: 0 }).addDisk(first.path).condition).toBe('online');
  });
});
