/**
 * A device that does not answer while it is added to a pool, or read by `recover`: it is named in time, the
 * pool is as it was, and nobody else gets the device as long as something may still be written to it.
 */

import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MIB } from '../../src/domain/units.js';
import { DeviceClaim } from '../../src/kernel/device-claim.js';
import { recoverPool } from '../../src/pool/extent-pool/recover.js';
import { until } from '../support/agent-lab.js';
import { runCommand } from '../support/agent-process.js';
import { canFault, FaultDisk } from '../support/fault-disk.js';
import { HangingPool } from '../support/hanging-pool.js';
import {
  closePool,
  content,
  expectSound,
  inventory,
  makeDevice,
  makePool,
  openPool,
} from '../support/pool-fixture.js';
import { tempDirectory } from '../support/temp-directory.js';

const TIMEOUT_S = 1;
const ENV = { DYNAMICFS_DISK_TIMEOUT_S: String(TIMEOUT_S) };
const LATE_MS = 3_000;
const NO_ANSWER = { code: 'ERR_DISK_UNAVAILABLE', nextStep: expect.stringContaining('repeat') };

describe.skipIf(!canFault)('a device that hangs and is in no pool', () => {
  beforeEach(() => {
    vi.stubEnv('DYNAMICFS_DISK_TIMEOUT_S', ENV.DYNAMICFS_DISK_TIMEOUT_S);
  });
  afterEach(() => vi.unstubAllEnvs());

  it('is refused by `disk add` and `init`, which change nothing, and taken once it answers', async () => {
    await using fault = await FaultDisk.start(64 * MIB);
    using device = makeDevice({ imagePath: fault.imagePath });
    const pool = makePool({ diskCount: 1 });
    const other = join(tempDirectory('other'), 'pool');
    fault.hang();
    try {
      for (const args of [
        ['disk', 'add', '--device', device.path, '--pool', pool.path],
        ['init', '--device', device.path, '--pool', other],
      ]) {
        const { code, stderr } = await runCommand(args, ENV);
        expect(stderr).toContain(`Error: ${device.path} does not answer`);
        expect(code).toBe(25);
      }
    } finally {
      fault.goOn();
    }
    expect(existsSync(other)).toBe(false);
    expect(pool.disks()).toHaveLength(1);
    pool.addDisk(device.path);
    expect(pool.disks()).toHaveLength(2);
    expectSound(pool);
    await closePool(pool);
  });

  it('stays claimed while it is written to, after the pool has given it up', async () => {
    await using fault = await FaultDisk.start(64 * MIB);
    using device = makeDevice({ imagePath: fault.imagePath });
    const pool = makePool({ diskCount: 1 });
    await fault.fail({ op: 'write', nth: 1, count: null, delayMs: LATE_MS });
    expect(() => pool.addDisk(device.path)).toThrow(expect.objectContaining(NO_ANSWER));
    expect(pool.disks()).toHaveLength(1);
    expect(DeviceClaim.take(device.path)).toBeNull();

    await fault.fail(null);
    await until('nothing can come late any more', () => {
      const claim = DeviceClaim.take(device.path);
      claim?.release();
      return claim;
    });
    pool.addDisk(device.path, { force: true });
    expectSound(pool);
    await closePool(pool);
  });

  it('is named by `recover`, which does without it where another disk is named', async () => {
    await using lab = await HangingPool.make({ a: content('a', MIB), b: content('b', 100) });
    const { pool, device } = lab;
    const before = await inventory(pool);
    await closePool(pool);
    const catalogue = join(pool.path, 'pool.sqlite');
    rmSync(catalogue);
    lab.hang();
    await expect(recoverPool(pool.path, [device.path])).rejects.toMatchObject(NO_ANSWER);
    expect(existsSync(catalogue)).toBe(false);
    const report = await recoverPool(pool.path, [`${pool.path}-1`]);
    expect(report).toMatchObject({ objectCount: 2, missingDisks: [device.path] });
    const recovered = openPool(pool.path);
    expect(await inventory(recovered)).toEqual(before);
    await closePool(recovered);
    lab.goOn();
  });
});
