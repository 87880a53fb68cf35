/**
 * A bad replica that a reader met is repaired by the agent within moments, in a run of its own, and
 * written down by the name of its object. What cannot be repaired is reported and does not keep the
 * agent busy; what is merely away is not bad.
 */

import { renameSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import {
  beginRun,
  expectIntact,
  type Lab,
  makeLab,
  until,
  untilOver,
  withAgent,
} from '../support/agent-lab.js';
import { spawnAgent } from '../support/agent-process.js';
import { corruptReplica, readAll } from '../support/pool-fixture.js';

function extentIdOf(pool: ExtentPool, name: string): number {
  const [extent] = pool.extents(name);
  if (!extent) throw new Error(`${name} has no extent`);
  return extent.extentId;
}

/** Flips a bit where the next read looks first. @returns the disk. */
function corruptFirst({ pool }: Lab, name: string): number {
  const extentId = extentIdOf(pool, name);
  const diskId = pool.context.readableReplicas(extentId)[0]?.diskId ?? 0;
  corruptReplica(pool, extentId, diskId);
  return diskId;
}

function findingsOf({ pool }: Lab, name: string): string[] {
  const all = pool.context.store.repairs.findings(100).reverse();
  return all.filter(({ objectName }) => objectName === name).map(({ what }) => what);
}

describe('a bad replica that was read', () => {
  it('is repaired by a run of its own; one that has no good copy is reported by name, once', async () => {
    const lab = await makeLab({ objectCount: 3 });
    const { pool } = lab;
    const { store } = pool.context;
    await withAgent(lab, async () => {
      corruptFirst(lab, 'object/0');
      await readAll(pool, 'object/0');
      await until('it is repaired', () => findingsOf(lab, 'object/0').includes('repaired'));
      expect(findingsOf(lab, 'object/0')).toEqual(['bad', 'repaired']);
      expect(store.totals.read()).toMatchObject({ bad_replicas_seen: 1, bad_replicas_repaired: 1 });
      const repair = store.runs.last('repair');
      expect(await untilOver(pool, repair?.runId ?? 0)).toMatchObject({
        state: 'completed',
        trigger: 'bad-replica',
        progress: { doneCount: 1, failedCount: 0, skippedCount: 0 },
      });
      await expectIntact(lab);

      for (const diskId of [1, 2]) corruptReplica(pool, extentIdOf(pool, 'object/1'), diskId);
      await expect(readAll(pool, 'object/1')).rejects.toThrow('object/1: extent 0');
      // Another one after it is repaired all the same.
      corruptFirst(lab, 'object/2');
      await readAll(pool, 'object/2');
      await until('the other is repaired', () => findingsOf(lab, 'object/2').includes('repaired'));
      await until('it is said', () => findingsOf(lab, 'object/1').includes('unrepairable'));
      await until('no repair is open', () => store.runs.open('repair') === null);
      expect(store.repairs.planDue(Date.now()).count).toBe(0);
      expect(store.repairs.named(10)).toMatchObject([
        { objectName: 'object/1', failureCount: 1 },
        { objectName: 'object/1', failureCount: 1 },
      ]);
    });
  });

  it('is repaired by the next agent when one was killed in the middle', async () => {
    const lab = await makeLab({ objectCount: 1 });
    const { pool } = lab;
    corruptFirst(lab, 'object/0');
    await readAll(pool, 'object/0');
    const end = await spawnAgent({ ...lab.env, DYNAMICFS_CRASH_AT: 'rewrite-verified' }).ended();
    expect(end.signal).toBe('SIGKILL');
    expect(findingsOf(lab, 'object/0')).toEqual(['bad']);
    await withAgent(lab, () =>
      until('it is repaired', () => findingsOf(lab, 'object/0').includes('repaired')),
    );
    expect(pool.context.store.repairs.all()).toEqual([]);
    await expectIntact(lab);
  });
});

it('a replica on a disk that went away is missing, not bad, and defragmentation waits for it', async () => {
  const lab = await makeLab({ objectCount: 1 });
  const { pool } = lab;
  const { store } = pool.context;
  const gone = pool.disks()[0]?.path ?? '';
  // This process has the disk open still: it learns by an error that it is away.
  expect(pool.disks().every(({ condition }) => condition === 'online')).toBe(true);
  renameSync(gone, `${gone}-away`);
  await readAll(pool, 'object/0');
  expect(store.repairs.all()).toEqual([]);
  const { runId } = beginRun(pool);
  await withAgent(lab, async () => {
    expect(await untilOver(pool, runId)).toMatchObject({
      state: 'completed',
      progress: { doneCount: 0, skippedCount: 6 },
    });
    expect(store.candidates.exclusions(runId)).toMatchObject([
      { reason: 'disk not writable', count: 3 },
      { reason: 'fewer good replicas than wanted', count: 3 },
    ]);
    expect(store.runs.last('repair')).toBeNull();
  });
  renameSync(`${gone}-away`, gone);
  pool.context.refreshDisks();
  const again = beginRun(pool);
  await withAgent(lab, async () => {
    expect(await untilOver(pool, again.runId)).toMatchObject({
      progress: { doneCount: 6, skippedCount: 0, failedCount: 0 },
    });
  });
  await expectIntact(lab);
});
