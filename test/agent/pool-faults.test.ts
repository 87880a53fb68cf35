/**
 * What goes wrong with the pool itself while an agent works on it: its directory, its disks, its
 * catalogue. The agent says so once, goes on with the rest, and is whole again when the fault is gone.
 */

import { renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { expect, it } from 'vitest';
import {
  beginRun,
  candidateCount,
  expectIntact,
  makeLab,
  makeNode,
  register,
  runOf,
  until,
  untilMoved,
  untilOver,
  withAgent,
} from '../support/agent-lab.js';
import { addAndJudge, withQueues } from '../support/agent-queues.js';
import { closePool, openPool } from '../support/pool-fixture.js';

it('lets a pool go whose directory was moved away, and takes it again when it is back', async () => {
  const [lab, other] = [await makeLab(), await makeLab({ objectCount: 1 })];
  const node = makeNode();
  for (const { pool } of [lab, other]) register(node.stateDirectory, pool);
  const { runId } = beginRun(lab.pool, { intensity: 'low' });
  const away = join(dirname(lab.pool.path), 'away');
  await withAgent(node, async (agent) => {
    await untilMoved(lab.pool, runId, 3);
    await closePool(lab.pool);
    renameSync(lab.pool.path, away);
    await until('it says so', () =>
      agent.log().some((line) => String(line.trouble).includes('ENOENT')),
    );
    const elsewhere = beginRun(other.pool);
    await untilOver(other.pool, elsewhere.runId);

    renameSync(away, lab.pool.path);
    const pool = openPool(lab.pool.path);
    expect(await untilOver(pool, runId)).toMatchObject({ state: 'completed' });
    expect(agent.log().filter((line) => line.trouble !== undefined)).toHaveLength(1);
    await expectIntact({ pool, manifest: lab.manifest });
  });
  await expectIntact(other);
});

it('is not troubled by a pool that was deleted', async () => {
  const [lab, other] = [await makeLab({ objectCount: 1 }), await makeLab({ objectCount: 1 })];
  const node = makeNode();
  for (const { pool } of [lab, other]) register(node.stateDirectory, pool);
  await withAgent(node, async (agent) => {
    await closePool(lab.pool);
    rmSync(lab.pool.path, { recursive: true });
    await until('it lets go', () => agent.log().some((line) => line.msg === 'pool let go'));
    const { runId } = beginRun(other.pool);
    await untilOver(other.pool, runId);
    expect((await fetch(`${agent.url()}/metrics`)).status).toBe(200);
  });
  await expectIntact(other);
});

it('leaves the extents of a disk alone that went away, and moves them once it is back', async () => {
  const lab = await makeLab({ diskCount: 3 });
  const { pool } = lab;
  const gone = pool.disks()[0]?.path ?? '';
  const { runId } = beginRun(pool, { intensity: 'low' });
  await withAgent(lab, async () => {
    await untilMoved(pool, runId, 2);
    renameSync(gone, `${gone}-away`);
    const run = await untilOver(pool, runId);
    expect(run.state).toBe('completed');
    expect(run.progress.skippedCount + run.progress.failedCount).toBeGreaterThan(0);
    const reasons = pool.context.store.candidates.exclusions(runId);
    expect(reasons.map((one) => one.reason).join()).toMatch(/disk not writable|No such file/);
    expect(candidateCount(pool)).toBeGreaterThan(0);

    renameSync(`${gone}-away`, gone);
    // The tick of every minute looks which disks are there.
    await withQueues(lab, (view) => addAndJudge(view, 'policy-tick', { v: 1, poolId: pool.id }));
    const again = beginRun(pool);
    expect(await untilOver(pool, again.runId)).toMatchObject({
      state: 'completed',
      progress: { skippedCount: 0, failedCount: 0 },
    });
    expect(candidateCount(pool)).toBe(0);
  });
  pool.context.refreshDisks();
  await expectIntact(lab);
});

it.each([
  ['shorter than SQLite waits', '10000', 1_500],
  ['longer than a job is tried', '100', 6_000],
])('completes a run whose catalogue was locked for a time %s', async (_what, timeoutMs, lockMs) => {
  const lab = await makeLab();
  const { pool } = lab;
  const { runId } = beginRun(pool, { intensity: 'low' });
  await withAgent(
    lab,
    async () => {
      await untilMoved(pool, runId, 3);
      const intruder = new Database(join(pool.path, 'pool.sqlite'));
      intruder.exec('BEGIN IMMEDIATE');
      await sleep(lockMs);
      intruder.exec('COMMIT');
      intruder.close();
      const run = await untilOver(pool, runId);
      expect(run).toMatchObject({ state: 'completed', error: null });
      expect(runOf(pool, runId).progress.failedCount).toBe(0);
    },
    { DYNAMICFS_STORE_TIMEOUT_MS: timeoutMs },
  );
  expect(candidateCount(pool)).toBe(0);
  await expectIntact(lab);
});
