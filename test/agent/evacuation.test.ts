/**
 * `disk remove`: everything moves away by the rewrite protocol, through the queue. Half-way the pool
 * is as good as before, and a disk that may not go is refused before anything is changed.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { beginRemoveDisk, cancelRemoveDisk } from '../../src/cli/run-control.js';
import { MIB } from '../../src/domain/units.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import type { DiskRow } from '../../src/store/disks.js';
import {
  beginRun,
  expectIntact,
  makeLab,
  stateOf,
  untilMoved,
  untilOver,
  withAgent,
} from '../support/agent-lab.js';
import { runCommand, spawnAgent } from '../support/agent-process.js';
import { content, putFiles } from '../support/pool-fixture.js';

function firstDisk(pool: ExtentPool): DiskRow {
  const [disk] = pool.context.store.disks.all();
  if (!disk) throw new Error('no disk');
  return disk;
}

it('empties a disk by command, forgets it and deletes its file', async () => {
  const lab = await makeLab({ diskCount: 3, objectCount: 2 });
  const { pool } = lab;
  const disk = firstDisk(pool);
  await withAgent(lab, async () => {
    const args = ['--pool', pool.path, '--disk', disk.path];
    const end = await runCommand(['disk', 'remove', ...args], lab.env);
    expect(end.code).toBe(0);
    expect(end.stdout).toContain(`Removed disk ${disk.path}`);
  });
  expect(pool.disks().map(({ path }) => path)).not.toContain(disk.path);
  expect(existsSync(join(disk.path, 'dynamicfs.data'))).toBe(false);
  await expectIntact(lab);
});

it.each(['rewrite-written:2', 'rewrite-journaled:3'])(
  'goes on after the agent was killed at %s',
  async (point) => {
    const lab = await makeLab({ diskCount: 3 });
    const { pool } = lab;
    const disk = firstDisk(pool);
    const { runId } = beginRemoveDisk(pool, disk);
    const end = await spawnAgent({ ...lab.env, DYNAMICFS_CRASH_AT: point }).ended();
    expect(end.signal).toBe('SIGKILL');
    expect(pool.disks()).toHaveLength(3);
    pool.context.returnOrphans();
    await expectIntact(lab);

    const run = await withAgent(lab, () => untilOver(pool, runId));
    expect(run).toMatchObject({ state: 'completed', progress: { failedCount: 0 } });
    expect(pool.disks()).toHaveLength(2);
    await expectIntact(lab);
  },
);

it('runs beside a defragmentation of the same pool, and both end', async () => {
  const lab = await makeLab({ diskCount: 3 });
  const { pool } = lab;
  const disk = firstDisk(pool);
  const defrag = beginRun(pool, { intensity: 'low' });
  const evacuation = beginRemoveDisk(pool, disk);
  await withAgent(lab, async () => {
    expect(await untilOver(pool, evacuation.runId)).toMatchObject({ state: 'completed' });
    expect(await untilOver(pool, defrag.runId)).toMatchObject({
      state: 'completed',
      progress: { failedCount: 0 },
    });
  });
  expect(pool.disks()).toHaveLength(2);
  await expectIntact(lab);
});

it('can be cancelled: what has moved stays moved, the disk takes data again', async () => {
  const lab = await makeLab({ diskCount: 3 });
  const { pool } = lab;
  const disk = firstDisk(pool);
  const { runId } = beginRemoveDisk(pool, disk);
  pool.context.store.runs.setIntensity(runId, 'low', 1);
  await withAgent(lab, async () => {
    await untilMoved(pool, runId, 1);
    expect(cancelRemoveDisk(pool, disk)).toMatchObject({ state: 'stopped' });
    // By command too, when nothing is open any more.
    const args = ['--pool', pool.path, '--disk', disk.path, '--cancel'];
    const end = await runCommand(['disk', 'remove', ...args], lab.env);
    expect(end).toMatchObject({ code: 0, stdout: `Kept disk ${disk.path}\n` });
  });
  expect(pool.disks().map(({ evacuating }) => evacuating)).toEqual([false, false, false]);
  expect(pool.context.store.candidates.planOnDisk(disk.diskId).count).toBeGreaterThan(0);
  await expectIntact(lab);
});

it('is refused when too few disks would be left', async () => {
  const lab = await makeLab({ objectCount: 1 });
  const { pool } = lab;
  await withAgent(lab, async () => {
    const before = stateOf(pool);
    const args = ['--pool', pool.path, '--disk', firstDisk(pool).path];
    const end = await runCommand(['disk', 'remove', ...args], lab.env);
    expect(end.code).toBe(14);
    expect(end.stderr).toContain('want 2 replicas; 1 other disk(s) are left');
    expect(stateOf(pool)).toEqual(before);
  });
  await expectIntact(lab);
});

it('is refused when the other disks have no room', async () => {
  const lab = await makeLab({ diskCount: 3, objectCount: 1, capacityBytes: 64 * MIB });
  const { pool } = lab;
  const files = Array.from({ length: 21 }, (_, n) => [`full/${n}`, content(n, 4 * MIB)]);
  await putFiles(pool, Object.fromEntries(files));
  await withAgent(lab, async () => {
    const before = stateOf(pool);
    const args = ['--pool', pool.path, '--disk', firstDisk(pool).path];
    const end = await runCommand(['disk', 'remove', ...args], lab.env);
    expect(end.code).toBe(16);
    expect(end.stderr).toContain('Code: ERR_NO_SPACE');
    expect(stateOf(pool)).toEqual(before);
  });
});
