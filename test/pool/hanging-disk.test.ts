/**
 * A device that hangs in the middle of a transaction: it is waited for only so long, the transaction did
 * not happen, the next one does without the disk; and what is done late, when it answers again, does no
 * harm.
 */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MIB } from '../../src/domain/units.js';
import { lookAtDisks } from '../../src/pool/extent-pool/disk-watch.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { recoverPool } from '../../src/pool/extent-pool/recover.js';
import { verifyDiskRecords } from '../../src/pool/extent-pool/verify-disk-records.js';
import { until } from '../support/agent-lab.js';
import { canFault, FaultDisk } from '../support/fault-disk.js';
import type { LoopDevice } from '../support/loop-device.js';
import { run } from '../support/loop-mounts.js';
import {
  closePool,
  content,
  expectSound,
  inventory,
  makeDevice,
  makePool,
  openPool,
  putFiles,
} from '../support/pool-fixture.js';

const TIMEOUT_MS = 2_000;
const GRACE_MS = 3_600_000;
const HANGING = 1;

describe.skipIf(!canFault)('a device that hangs', () => {
  let fault: FaultDisk;
  let device: LoopDevice;
  let pool: ExtentPool;

  beforeEach(async () => {
    fault = await FaultDisk.start(64 * MIB);
    device = makeDevice({ imagePath: fault.imagePath });
    const made = makePool({ diskCount: 0, extentBytes: MIB, replicaCount: 2 });
    made.addDisk(device.path);
    made.addDisk(`${made.path}-directory`, { capacityBytes: 64 * MIB });
    await putFiles(made, {
      a: content('a', MIB),
      b: content('b', 2 * MIB),
      c: content('c', 100),
    });
    await closePool(made);
    pool = openPool(made.path, { diskTimeoutMs: TIMEOUT_MS });
  });
  afterEach(async () => {
    fault.goOn();
    await closePool(pool);
    device.detach();
    await fault[Symbol.asyncDispose]();
  });

  it('costs the transaction that met it, no other one, and is brought up to date afterwards', async () => {
    fault.hang();
    expect(() => pool.remove('a')).toThrow(
      expect.objectContaining({ code: 'ERR_DISK_UNAVAILABLE' }),
    );
    expect(pool.metadata('a')).not.toBeNull();
    expect(pool.disks()).toMatchObject([
      { condition: 'missing', problem: expect.stringContaining('does not answer') },
      { condition: 'online' },
    ]);
    pool.remove('b');
    expect(lookAtDisks(pool.context, GRACE_MS)).toBe(true);
    expect(pool.context.store.health.get(HANGING)).toMatchObject({
      state: 'missing',
      reason: 'it does not answer',
    });
    const kept = await inventory(pool);
    expect(Object.keys(kept)).toEqual(['a', 'c']);

    fault.goOn();
    await until('it answers', () => pool.disks()[0]?.condition === 'online');
    lookAtDisks(pool.context, GRACE_MS);
    expect(pool.context.store.health.get(HANGING).state).toBe('healthy');
    expect(verifyDiskRecords(pool.context, HANGING, { runId: 0, repair: false })).toBe('good');
    expectSound(pool);

    // What was removed without it stays removed, and what was not is there.
    await closePool(pool);
    rmSync(join(pool.path, 'pool.sqlite'));
    await recoverPool(pool.path, [device.path]);
    pool = openPool(pool.path);
    expect(await inventory(pool)).toEqual(kept);
    expectSound(pool);
  });

  it('is noticed by a look that asks it for a block, while nobody uses it', async () => {
    expect(pool.disks().map(({ condition }) => condition)).toEqual(['online', 'online']);
    fault.hang();
    await until('it is noticed', () => {
      lookAtDisks(pool.context, GRACE_MS);
      return pool.context.store.health.get(HANGING).reason === 'it does not answer';
    });
    expect(pool.disks()[1]?.condition).toBe('online');
  });

  it('is noticed when a pool is opened, which can be used without it', async () => {
    await closePool(pool);
    run('blockdev', ['--flushbufs', device.path]);
    fault.hang();
    pool = openPool(pool.path, { diskTimeoutMs: TIMEOUT_MS });
    expect(pool.disks().map(({ condition }) => condition)).toEqual(['missing', 'online']);
    expect(Object.keys(await inventory(pool))).toEqual(['a', 'b', 'c']);
  });
});
