/**
 * A device that begins to hang while a process without an agent's watch uses it: a command, or a program.
 * What its threads wait for is given up after the time that a disk has: a read is served from another
 * replica, or says which disk it needs; a put stores nothing, and what is written late does no harm.
 */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MIB } from '../../src/domain/units.js';
import { verifyDiskRecords } from '../../src/pool/extent-pool/verify-disk-records.js';
import { until } from '../support/agent-lab.js';
import { canFault } from '../support/fault-disk.js';
import { HANGING, HangingPool } from '../support/hanging-pool.js';
import {
  checksum,
  content,
  expectSound,
  fileEntry,
  inventory,
  putFiles,
  readAll,
} from '../support/pool-fixture.js';
import { runOnPool } from '../support/run-on-pool.js';
import { tempDirectory } from '../support/temp-directory.js';

const TIMEOUT_S = 2;
/** What a user may have to wait, with some for a machine that is busy. */
const TOLD_MS_MAX = 1_000 * TIMEOUT_S + 8_000;
/** Longer than a command waits before it asks, shorter than it waits for the answer. */
const SLOW_S = 2;
const BIG = content('big', 20 * MIB);

describe.skipIf(!canFault)('a device that hangs while it is used', () => {
  let lab: HangingPool;

  beforeEach(async () => {
    vi.stubEnv('DYNAMICFS_DISK_TIMEOUT_S', String(TIMEOUT_S));
    lab = await HangingPool.make({ big: BIG, small: content('small', 100) });
    await storeOnDeviceOnly(lab, 'alone', content('alone', 8 * MIB));
    // Threads of its own: some are left behind.
    await lab.reopen({ threadCount: 2 });
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    lab.goOn();
    await until('its threads are back', () => lab.pool.context.stuckPaths().length === 0);
    await lab[Symbol.asyncDispose]();
  });

  it('costs a read some time, which then comes from the other replica', async () => {
    lab.hang();
    const beganAtMs = performance.now();
    expect(checksum(await readAll(lab.pool, 'big'))).toBe(checksum(BIG));
    expect(performance.now() - beganAtMs).toBeLessThan(TOLD_MS_MAX);
    expect(lab.pool.disks().map(({ condition }) => condition)).toEqual(['missing', 'online']);

    const restored = join(tempDirectory('got'), 'restored');
    expect(await lab.pool.get('small', restored)).toMatchObject({ objectCount: 1, failed: [] });
    expect(readFileSync(restored)).toEqual(content('small', 100));
  });

  it('costs files some time, which are written whole from the other replica', async () => {
    lab.hang();
    const directory = tempDirectory('got');
    const report = await lab.pool.get('', directory);
    expect(report.failed).toMatchObject([
      { name: 'alone', error: { code: 'ERR_DISK_UNAVAILABLE' } },
    ]);
    expect(report.objectCount).toBe(2);
    lab.goOn();
    await until('its threads are back', () => lab.pool.context.stuckPaths().length === 0);
    // What they wrote last is of no file any more.
    expect(checksum(readFileSync(join(directory, 'big')))).toBe(checksum(BIG));
    expect(Object.keys(await inventory(lab.pool))).toEqual(['alone', 'big', 'small']);
    expectSound(lab.pool);
  });

  it('is named by a read of what no other disk has', async () => {
    lab.hang();
    const beganAtMs = performance.now();
    await expect(readAll(lab.pool, 'alone')).rejects.toMatchObject({
      code: 'ERR_DISK_UNAVAILABLE',
      message: expect.stringContaining(`${lab.device.path} does not answer`),
      nextStep: expect.stringContaining('dmesg'),
    });
    expect(performance.now() - beganAtMs).toBeLessThan(TOLD_MS_MAX);
  });

  it.each([
    ['writes', 3 * MIB],
    ['flushes', 100],
  ])('fails a put that %s, of which nothing is left afterwards', async (_, sizeBytes) => {
    const { pool } = lab;
    const { space } = pool.context.store;
    lab.hang();
    const beganAtMs = performance.now();
    await expect(pool.put([fileEntry('new', content('new', sizeBytes))])).rejects.toMatchObject({
      code: 'ERR_DISK_UNAVAILABLE',
      message: expect.stringContaining(`${lab.device.path} does not answer`),
    });
    expect(performance.now() - beganAtMs).toBeLessThan(TOLD_MS_MAX);
    expect(space.reservationOwners()).toHaveLength(1);
    // Nothing of libuv's, or of the threads, is lost to others.
    await putFiles(pool, { other: content('other', MIB) }, { replicaCount: 1 });

    lab.goOn();
    await until('the thread is back', () => space.reservationOwners().length === 0);
    await until('it answers', () => pool.disks()[0]?.condition === 'online');
    expect(Object.keys(await inventory(pool))).toEqual(['alone', 'big', 'other', 'small']);
    expectSound(await lab.reopen());
  });

  it.each([
    ['read', false],
    ['flushed', true],
  ])('fails a removal while its journal is %s, and no later one', async (_, keepCache) => {
    const { pool } = lab;
    lab.hang({ keepCache });
    const beganAtMs = performance.now();
    expect(() => pool.remove('small')).toThrow(
      expect.objectContaining({
        code: 'ERR_DISK_UNAVAILABLE',
        message: expect.stringContaining(`${lab.device.path} does not answer`),
      }),
    );
    expect(performance.now() - beganAtMs).toBeLessThan(TOLD_MS_MAX);
    // The process cannot end by itself.
    expect(pool.context.stuckPaths()).toEqual([lab.device.path]);
    expect(pool.metadata('small')).not.toBeNull();
    pool.remove('small');

    lab.goOn();
    await until('it answers', () => pool.disks()[0]?.condition === 'online');
    const again = await lab.reopen();
    const verified = verifyDiskRecords(again.context, HANGING, { runId: 0, repair: false });
    expect(verified).toBe('good');
    expect(Object.keys(await inventory(again))).toEqual(['alone', 'big']);
    expectSound(again);
  });

  it('does not fail a removal by being slow', async () => {
    const { pool } = lab;
    lab.hang();
    // This thread waits meanwhile.
    lab.goOnIn(SLOW_S);
    pool.remove('small');
    expect(pool.disks()[0]?.condition).toBe('online');
    expectSound(pool);
  });

  it('costs `get` some time, which says so', async () => {
    const command = runOnPool(lab.pool.path, ['get', 'big', '-']);
    await once(command.child.stdout as NodeJS.ReadableStream, 'readable');
    lab.hang();
    const got = await command.output();
    expect(checksum(got)).toBe(checksum(BIG));
    expect(command.stderr()).toBe(`${lab.device.path} does not answer; done without it\n`);
    lab.goOn();
    expect(await command.exitCode()).toBe(0);
  });

  it('is named by a `get` that cannot do without it, within the time it has', async () => {
    const command = runOnPool(lab.pool.path, ['get', 'alone', '-']);
    await once(command.child.stdout as NodeJS.ReadableStream, 'readable');
    lab.hang();
    const beganAtMs = performance.now();
    await command.output();
    expect(performance.now() - beganAtMs).toBeLessThan(TOLD_MS_MAX);
    expect(command.stderr()).toContain(`${lab.device.path} does not answer`);
    expect(command.stderr()).toContain('Code: ERR_DISK_UNAVAILABLE');
    lab.goOn();
    expect(await command.exitCode()).toBe(25);
  });

  it('fails `put`, of which nothing is left when it answers', async () => {
    const { pool } = lab;
    const before = await inventory(pool);
    const command = runOnPool(lab.pool.path, ['put', '-', '--name', 'new']);
    const { stdin } = command.child;
    stdin?.write(content('new', 17 * MIB));
    const { space } = pool.context.store;
    await until('it is under way', () => space.reservationOwners().length === 1);
    lab.hang();
    stdin?.end(content('end', MIB));
    const beganAtMs = performance.now();
    await command.output();
    expect(performance.now() - beganAtMs).toBeLessThan(TOLD_MS_MAX);
    expect(command.stderr()).toContain(`Error: ${lab.device.path} does not answer`);
    expect(command.stderr()).toContain('Code: ERR_DISK_UNAVAILABLE');
    // What is left of it may still write.
    pool.context.returnOrphans();
    expect(space.reservationOwners()).toHaveLength(1);

    lab.goOn();
    expect(await command.exitCode()).toBe(25);
    const again = await lab.reopen();
    expect(await inventory(again)).toEqual(before);
    expectSound(again);
  });
});

async function storeOnDeviceOnly({ pool }: HangingPool, name: string, bytes: Buffer) {
  const { disks } = pool.context.store;
  const others = disks.all().filter(({ diskId }) => diskId !== HANGING);
  for (const { diskId } of others) disks.setEvacuating(diskId, true);
  await putFiles(pool, { [name]: bytes }, { replicaCount: 1 });
  for (const { diskId } of others) disks.setEvacuating(diskId, false);
}
