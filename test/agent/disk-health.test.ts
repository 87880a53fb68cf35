/**
 * Disks that fail under an agent: what they held is copied to the others, the extents with the fewest
 * good copies first; a disk that is back is verified before its copies count; and one that errs again
 * and again is given up though it is there.
 */

import { renameSync, rmSync } from 'node:fs';
import { expect, it } from 'vitest';
import { diskHealth, diskHealthText } from '../../src/cli/disk-health.js';
import { KIB, MIB } from '../../src/domain/units.js';
import { readableDegraded } from '../../src/pool/extent-pool/disk-watch.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { recoverPool } from '../../src/pool/extent-pool/recover.js';
import {
  expectIntact,
  type Lab,
  makeNode,
  register,
  until,
  withAgent,
} from '../support/agent-lab.js';
import { runCommand } from '../support/agent-process.js';
import { canFault, FaultDisk } from '../support/fault-disk.js';
import {
  closePool,
  content,
  corruptReplica,
  expectSound,
  inventory,
  makeDevice,
  makePool,
  openPool,
  putFiles,
} from '../support/pool-fixture.js';

const FILE_COUNT = 8;

/** Three disks, the first a device if there is one; every object on two of them. */
async function makeHealthLab(devicePath: string | null = null): Promise<Lab> {
  const diskCount = devicePath === null ? 3 : 0;
  const pool = makePool({ diskCount, replicaCount: 2, capacityBytes: 64 * MIB });
  if (devicePath !== null) {
    pool.addDisk(devicePath);
    for (const n of [2, 3]) pool.addDisk(`${pool.path}-${n}`, { capacityBytes: 64 * MIB });
  }
  for (let n = 0; n < FILE_COUNT; n += 1) await putFiles(pool, { [`${n}`]: content(n, 300 * KIB) });
  const node = makeNode({ DYNAMICFS_DEGRADED_AFTER_S: '0' });
  register(node.stateDirectory, pool);
  return { pool, ...node, manifest: await inventory(pool) };
}

function stateOf(pool: ExtentPool, diskId: number): string {
  return pool.context.store.health.get(diskId).state;
}

function replicasOf(pool: ExtentPool): number[][] {
  return pool
    .list()
    .flatMap(({ name }) => pool.extents(name))
    .map(({ extentId }) =>
      pool.context.store.extents.replicas(extentId).map(({ diskId }) => diskId),
    );
}

it('copies what a lost disk held to others, and verifies the disk when it is back', async () => {
  const lab = await makeHealthLab();
  const { pool } = lab;
  const { store } = pool.context;
  const lost = store.disks.all()[0];
  if (!lost) throw new Error('no disk');
  const heldBefore = replicasOf(pool).filter((disks) => disks.includes(lost.diskId));
  expect(heldBefore.length).toBeGreaterThan(0);
  const rotten = pool
    .list()
    .flatMap(({ name }) => pool.extents(name))
    .find(({ extentId }) => store.extents.replicas(extentId).some((r) => r.diskId === lost.diskId));
  await withAgent(lab, async () => {
    renameSync(lost.path, `${lost.path}-away`);
    await until('it is degraded', () => stateOf(pool, lost.diskId) === 'degraded');
    await until('all have two good copies again', () => store.health.shortCount(lost.diskId) === 0);
    pool.context.refreshDisks();
    for (const disks of replicasOf(pool)) {
      expect(disks.filter((diskId) => diskId !== lost.diskId)).toHaveLength(2);
    }
    expect(await inventory(pool)).toEqual(lab.manifest);
    expect(store.totals.read().replicas_copied).toBe(heldBefore.length);
    expect(diskHealthText(diskHealth(pool))).toMatch(/degraded +missing/);

    // Rot that nobody could see.
    renameSync(`${lost.path}-away`, lost.path);
    corruptReplica(pool, rotten?.extentId ?? 0, lost.diskId);
    await until('it is healthy again', () => stateOf(pool, lost.diskId) === 'healthy');
    await until('the scrub is over', () => store.runs.open('scrub') === null);
    expect(store.runs.last('scrub')).toMatchObject({ trigger: 'returned-disk' });
    // One copy of each too many was given up, none too few.
    expect(replicasOf(pool).map((disks) => disks.length)).toEqual(replicasOf(pool).map(() => 2));
    const bad = store.repairs.findings(10).filter(({ what }) => what === 'bad');
    expect(bad).toMatchObject([{ extentId: rotten?.extentId, reason: 'wrong checksum' }]);
  });
  pool.context.refreshDisks();
  await expectIntact(lab);
});

it.skipIf(!canFault)(
  'gives up a device that errs again and again, though it is there',
  async () => {
    await using fault = await FaultDisk.start(128 * MIB);
    const device = makeDevice({ imagePath: fault.imagePath });
    // The largest: what is stored goes there first.
    const lab = await makeHealthLab(device.path);
    const { pool } = lab;
    const { store } = pool.context;
    const [erring] = store.disks.all();
    if (!erring) throw new Error('no disk');
    await withAgent(lab, async () => {
      await fault.fail({ op: 'write', nth: 1, count: null });
      let refusedCount = 0;
      await until('one is stored elsewhere', async () => {
        const put = putFiles(pool, { stored: content('stored', 300 * KIB) });
        return await put.then(
          () => true,
          () => {
            refusedCount += 1;
            return false;
          },
        );
      });
      expect(refusedCount).toBeGreaterThanOrEqual(8);
      await until('it is degraded', () => stateOf(pool, erring.diskId) === 'degraded');
      expect(readableDegraded(pool.context)).toEqual([erring.diskId]);
      await until('all is copied', () => store.health.shortCount(erring.diskId) === 0);
      expect(store.health.get(erring.diskId).reason).toContain('reads or writes failed');
      await putFiles(pool, { later: content('later', 100) });
      const [later] = pool.extents('later');
      const held = store.extents.replicas(later?.extentId ?? 0).map(({ diskId }) => diskId);
      expect(held).not.toContain(erring.diskId);

      // Its last hour: nothing has to be read from it, or written to it, to take it out.
      await fault.vanish();
      const args = ['--pool', pool.path, '--disk', erring.path];
      const end = await runCommand(['disk', 'remove', ...args], lab.env);
      expect(end).toMatchObject({ code: 0 });
      expect(replicasOf(pool).map((disks) => disks.length)).toEqual(replicasOf(pool).map(() => 2));
    });
    expectSound(pool);
    expect(await inventory(pool)).toMatchObject(lab.manifest);
    await closePool(pool);
    device.detach();
  },
);

it('copies what was on a disk that recover did not find, the extents with the fewest copies first', async () => {
  const lab = await makeHealthLab();
  const [kept = '', lost = ''] = lab.pool.disks().map(({ path }) => path);
  await putFiles(lab.pool, { thrice: content('thrice', 100) }, { replicaCount: 3 });
  const before = await inventory(lab.pool);
  await closePool(lab.pool);
  for (const directory of [lab.pool.path, lost]) rmSync(directory, { recursive: true });
  const { missingDisks, incompleteObjects } = await recoverPool(lab.pool.path, [kept]);
  expect({ missingDisks, incompleteObjects }).toEqual({
    missingDisks: [lost],
    incompleteObjects: [],
  });

  const pool = openPool(lab.pool.path);
  const { store } = pool.context;
  const short = store.health.short(0, [], 100);
  expect(short.length).toBeGreaterThan(1);
  // What can be read from one disk only goes first.
  expect(short.map(({ goodCount }) => goodCount)).toEqual([...short.slice(1).map(() => 1), 2]);
  expect(pool.audit().problems).toHaveLength(short.length);
  // For the object that wants three copies.
  pool.addDisk(`${pool.path}-new`, { capacityBytes: 64 * MIB });
  await withAgent(lab, () => until('none is short', () => store.health.isAllWell()));
  expect(store.runs.last('repair')).toMatchObject({ kind: 'repair', trigger: 'lost-disk' });
  expect(store.totals.read().replicas_copied).toBe(short.length);
  expectSound(pool);
  expect(await inventory(pool)).toEqual(before);
});
