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
import { recoverPool } from '../../src/pool/extent-pool/recover.js';
import { rewriteReplicas } from '../../src/pool/extent-pool/rewrite.js';
import { verifyDiskRecords } from '../../src/pool/extent-pool/verify-disk-records.js';
import { until } from '../support/agent-lab.js';
import { canFault } from '../support/fault-disk.js';
import { HANGING, HangingPool } from '../support/hanging-pool.js';
import { closePool, content, expectSound, inventory } from '../support/pool-fixture.js';

const TIMEOUT_MS = 2_000;
const GRACE_MS = 3_600_000;

describe.skipIf(!canFault)('a device that hangs', () => {
  let lab: HangingPool;

  beforeEach(async () => {
    lab = await HangingPool.make({
      a: content('a', MIB),
      b: content('b', 2 * MIB),
      c: content('c', 100),
    });
    // Threads of its own: some are left behind.
    await lab.reopen({ diskTimeoutMs: TIMEOUT_MS, threadCount: 2 });
  });
  afterEach(() => lab[Symbol.asyncDispose]());

  it('costs the transaction that met it, no other one, and is brought up to date afterwards', async () => {
    const { pool, device } = lab;
    lab.hang();
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

    lab.goOn();
    await until('it answers', () => pool.disks()[0]?.condition === 'online');
    lookAtDisks(pool.context, GRACE_MS);
    expect(pool.context.store.health.get(HANGING).state).toBe('healthy');
    expect(verifyDiskRecords(pool.context, HANGING, { runId: 0, repair: false })).toBe('good');
    expectSound(pool);

    // What was removed without it stays removed, and what was not is there.
    await closePool(pool);
    rmSync(join(pool.path, 'pool.sqlite'));
    await recoverPool(pool.path, [device.path]);
    const recovered = await lab.reopen();
    expect(await inventory(recovered)).toEqual(kept);
    expectSound(recovered);
  });

  it('is noticed by a look that asks it for a block, while nobody uses it', async () => {
    const { pool } = lab;
    expect(pool.disks().map(({ condition }) => condition)).toEqual(['online', 'online']);
    lab.hang();
    await until('it is noticed', () => {
      lookAtDisks(pool.context, GRACE_MS);
      return pool.context.store.health.get(HANGING).reason === 'it does not answer';
    });
    expect(pool.disks()[1]?.condition).toBe('online');
  });

  it('keeps what a task had reserved on it until its thread has come back, which may still write', async () => {
    const { context } = lab.pool;
    const { space, health } = context.store;
    const [{ extentId = 0 } = {}] = lab.pool.extents('a');
    expect(lab.pool.disks()[0]?.condition).toBe('online');
    lab.hang();
    const moved = rewriteReplicas(context, [{ extentId, diskId: HANGING, goal: 'repair' }]);
    const failed = expect(moved).rejects.toMatchObject({ code: 'ERR_DISK_UNAVAILABLE' });
    await until('it is noticed', () => {
      lookAtDisks(context, GRACE_MS);
      return health.get(HANGING).reason === 'it does not answer';
    });
    await failed;
    expect(space.reservationOwners()).toHaveLength(1);
    // Other tasks have other threads.
    expect(Object.keys(await inventory(lab.pool))).toEqual(['a', 'b', 'c']);

    lab.goOn();
    await until('the thread is back', () => space.reservationOwners().length === 0);
    await until('it answers', () => lab.pool.disks()[0]?.condition === 'online');
    lookAtDisks(context, GRACE_MS);
    expectSound(lab.pool);
  });

  it('is noticed when a pool is opened, which can be used without it', async () => {
    await closePool(lab.pool);
    lab.hang();
    const pool = await lab.reopen({ diskTimeoutMs: TIMEOUT_MS });
    expect(pool.disks().map(({ condition }) => condition)).toEqual(['missing', 'online']);
    expect(Object.keys(await inventory(pool))).toEqual(['a', 'b', 'c']);
  });
});
