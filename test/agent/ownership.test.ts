/**
 * One pool, one agent: two on the same state directory, two nodes on one Redis, and an owner that
 * was declared dead while it still lives.
 */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { tryLockFile } from '../../src/kernel/file-lock.js';
import {
  beginRun,
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
import { type AgentProcess, runCommand, spawnAgent } from '../support/agent-process.js';
import { withQueues } from '../support/agent-queues.js';
import { withRedis } from '../support/redis.js';

function said(agent: AgentProcess, message: string): boolean {
  return agent.log().some((line) => line.msg === message);
}

it('refuses a second agent on the same state directory, which leaves the first alone', async () => {
  const lab = await makeLab({ objectCount: 1 });
  await withAgent(lab, async (agent) => {
    const end = await spawnAgent(lab.env).ended();
    expect(end.code).toBe(11);
    expect(end.stderr).toContain(`an agent runs on ${lab.stateDirectory} already`);
    expect(end.stderr).toContain('Code: ERR_TARGET_BUSY');
    const status = await runCommand(['agent', 'status', '--json'], lab.env);
    expect(JSON.parse(status.stdout)).toMatchObject({ running: true, pid: agent.pid });
    const { runId } = beginRun(lab.pool);
    await untilOver(lab.pool, runId);
  });
});

it('lets a second node stand by, and take over when the first is killed', async () => {
  const lab = await makeLab();
  const { pool } = lab;
  await withRedis(async (url) => {
    const [first, second] = [makeNode(), makeNode()].map((node) => {
      register(node.stateDirectory, pool);
      return spawnAgent({ ...node.env, DYNAMICFS_REDIS_URL: url });
    }) as [AgentProcess, AgentProcess];
    try {
      await Promise.all([first.ready(), second.ready()]);
      const standsBy = (agent: AgentProcess) =>
        agent.log().some((line) => String(line.trouble).includes('standing by'));
      await until('one stands by', () => standsBy(first) || standsBy(second));
      const [owner, other] = standsBy(first) ? [second, first] : [first, second];
      expect(said(owner, 'pool taken')).toBe(true);
      expect(said(other, 'pool taken')).toBe(false);

      const { runId } = beginRun(pool, { intensity: 'low' });
      await untilMoved(pool, runId, 3);
      const epoch = pool.context.store.owner.read()?.epoch ?? 0;
      await owner.kill();
      expect(await untilOver(pool, runId)).toMatchObject({ state: 'completed' });
      expect(said(other, 'pool taken')).toBe(true);
      expect(pool.context.store.owner.read()?.epoch).toBe(epoch + 1);
    } finally {
      await Promise.all([first.stop(), second.stop()]);
    }
  });
  await expectIntact(lab);
});

it('changes nothing more once its epoch is superseded, and lets the pool go', async () => {
  const lab = await makeLab();
  const { pool } = lab;
  const { runId } = beginRun(pool, { intensity: 'low' });
  await withAgent(lab, async (agent) => {
    await untilMoved(pool, runId, 3);
    // As if the lock's file had been deleted, and another agent had locked a new one.
    const lockPath = join(pool.path, 'agent.lock');
    rmSync(lockPath);
    const lock = tryLockFile(lockPath);
    pool.context.store.owner.acquire('another agent', Date.now());
    const { doneCount } = runOf(pool, runId).progress;
    await until('it lets go', () => said(agent, 'pool let go'));
    await sleep(1_500);
    expect(runOf(pool, runId)).toMatchObject({ state: 'running', progress: { doneCount } });
    expect(pool.disks().map((disk) => disk.reservedBytes)).toEqual([0, 0]);
    expect(pool.context.store.owner.read()?.holder).toBe('another agent');

    lock?.release();
    await untilOver(pool, runId);
    expect(agent.log().filter((line) => line.msg === 'pool taken')).toHaveLength(2);
  });
  await expectIntact(lab);
});

it('is found by commands of its node only while it lives', async () => {
  const lab = await makeLab({ objectCount: 1 });
  const status = async () => {
    const end = await runCommand(['agent', 'status', '--json'], lab.env);
    return { code: end.code, ...JSON.parse(end.stdout) };
  };
  const first = spawnAgent(lab.env);
  await first.ready();
  expect(await status()).toMatchObject({ code: 0, running: true, pid: first.pid });
  // Its agent.json stays behind; nothing may be told to the process of that number.
  await first.kill();
  expect(await status()).toMatchObject({ code: 26, running: false, pid: null });
  const nobody = await runCommand(['agent', 'stop'], lab.env);
  expect([nobody.code, nobody.stdout.split('\n')[0]]).toEqual([0, 'No agent runs']);

  const second = spawnAgent(lab.env);
  await second.ready();
  expect(await status()).toMatchObject({ code: 0, running: true, pid: second.pid });
  const stop = await runCommand(['agent', 'stop'], lab.env);
  expect([stop.code, stop.stdout.split('\n')[0]]).toEqual([0, 'Agent stopped']);
  expect(await second.ended()).toMatchObject({ code: 0, signal: null });
});

it('gives the queues of two pools to the two nodes that have them', async () => {
  const labs = [await makeLab({ objectCount: 1 }), await makeLab({ objectCount: 1 })];
  await withRedis(async (url) => {
    const env = { DYNAMICFS_REDIS_URL: url };
    const [a, b] = labs as [(typeof labs)[0], (typeof labs)[0]];
    const both = async () => {
      const runs = labs.map((lab) => ({ lab, runId: beginRun(lab.pool).runId }));
      for (const { lab, runId } of runs) {
        expect(await untilOver(lab.pool, runId)).toMatchObject({ state: 'completed' });
        await withQueues({ ...lab, env: { ...lab.env, ...env } }, async ({ queues }) => {
          expect(await queues.queue('defrag-batch').getCompletedCount()).toBeGreaterThan(0);
        });
      }
    };
    await withAgent(a, () => withAgent(b, both, env), env);
  });
});
