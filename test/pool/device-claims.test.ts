/**
 * Two processes on one device: those of one pool share it, everybody else is refused, and it stays
 * held until the last one is gone, however it goes.
 */

import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, cpSync, openSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { MIB } from '../../src/domain/units.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { firstOutput, spawnTypeScript } from '../support/child.js';
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
} from '../support/pool-fixture.js';
import { tempDirectory } from '../support/temp-directory.js';

const BYTES = content('claims', MIB + 3);
const children = new Set<ChildProcess>();

afterEach(async () => {
  for (const child of children) await end(child, 'SIGKILL');
});

/** Opens the pool for writing, says which conditions it found, and waits for the end of its input. */
const HOLD = `
  import { ExtentPool } from './src/pool/extent-pool/extent-pool.ts';
  const pool = ExtentPool.open(process.env.POOL);
  console.log(pool.disks().map(({ condition, problem }) => condition + ' ' + problem).join());
  process.on('SIGTERM', async () => { await pool.close(); process.exit(0); });
  setInterval(() => {}, 1000);
`;

async function hold(poolPath: string): Promise<{ child: ChildProcess; found: string }> {
  const child = spawnTypeScript(HOLD, { POOL: poolPath });
  children.add(child);
  return { child, found: await firstOutput(child) };
}

async function end(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  children.delete(child);
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  await once(child, 'close');
}

async function poolOnDevice(): Promise<{ pool: ExtentPool; path: string }> {
  const { path } = makeDevice();
  const pool = makePool({ diskCount: 0, extentBytes: MIB });
  pool.addDisk(path);
  await putFiles(pool, { a: BYTES });
  return { pool, path };
}

function isHeld(path: string): boolean {
  try {
    closeSync(openSync(path, constants.O_RDONLY | constants.O_EXCL));
    return false;
  } catch {
    return true;
  }
}

describe.skipIf(!canMount)('a device that a process holds', () => {
  it.each(['SIGTERM', 'SIGKILL'] as const)(
    'is shared with another one of the pool, which keeps it when the first gets %s',
    async (signal) => {
      const { pool, path } = await poolOnDevice();
      await closePool(pool);
      expect(isHeld(path)).toBe(false);
      const { child, found } = await hold(pool.path);
      expect(found).toBe('online null');
      const own = openPool(pool.path);
      await putFiles(own, { b: BYTES });
      await end(child, signal);
      expect(isHeld(path)).toBe(true);
      await putFiles(own, { c: BYTES });
      expect(Object.keys(await inventory(own))).toEqual(['a', 'b', 'c']);
      expectSound(own);
      await closePool(own);
      expect(isHeld(path)).toBe(false);
      // What the killed one left is cleared away by the next one.
      await closePool(openPool(pool.path));
      expect(readdirSync(join(pool.path, 'claims'))).toEqual(['lock']);
    },
  );

  it('can be had at once after that one was killed', async () => {
    const { pool, path } = await poolOnDevice();
    await closePool(pool);
    const { child } = await hold(pool.path);
    await end(child, 'SIGKILL');
    expect(isHeld(path)).toBe(false);
    expect(await inventory(openPool(pool.path))).toEqual({ a: checksum(BYTES) });
  });

  it('is refused to a second catalogue of the same pool, which can read it when told so', async () => {
    const { pool, path } = await poolOnDevice();
    await closePool(pool);
    const copy = join(tempDirectory('copy'), 'pool');
    cpSync(pool.path, copy, { recursive: true });
    const { found } = await hold(pool.path);
    expect(found).toBe('online null');

    const second = await hold(copy);
    expect(second.found).toContain(`held ${path} is held by another program`);
    await end(second.child, 'SIGTERM');
    const own = openPool(copy);
    const [disk] = own.context.store.disks.all();
    expect(disk && own.context.diskState(disk).error).toMatchObject({
      code: 'ERR_DEVICE_HELD',
      exitCode: 27,
    });
    await expect(own.put([fileEntry('b', BYTES)])).rejects.toThrow('0 of 1 can be written');
    await closePool(own);
    const reader = openPool(copy, { mode: 'read' });
    expect(await inventory(reader)).toEqual({ a: checksum(BYTES) });
  });

  it('is held by somebody who is no pool: the pool says so, and goes on when it is free', async () => {
    const { pool, path } = await poolOnDevice();
    await closePool(pool);
    const fd = openSync(path, constants.O_RDONLY | constants.O_EXCL);
    const own = openPool(pool.path);
    expect(own.disks()[0]).toMatchObject({ condition: 'held' });
    closeSync(fd);
    own.context.refreshDisks();
    expect(own.disks()[0]).toMatchObject({ condition: 'online', problem: null });
    expect(await inventory(own)).toEqual({ a: checksum(BYTES) });
  });

  it('is opened by many at once, and each of them gets it', async () => {
    const { pool, path } = await poolOnDevice();
    await closePool(pool);
    const all = await Promise.all([1, 2, 3, 4].map(() => hold(pool.path)));
    expect(all.map(({ found }) => found)).toEqual(all.map(() => 'online null'));
    await Promise.all(all.map(({ child }) => end(child, 'SIGTERM')));
    expect(isHeld(path)).toBe(false);
  });
});
