/**
 * Redis dies, hangs, comes back empty. SQLite knows what is wanted, so a run is delayed, no more.
 *
 * Each fault hits a run of low intensity in its middle, in a Redis that is a process of its own; the
 * assertion is always the same: the run completes, and the pool is intact.
 */

import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import {
  beginRun,
  expectIntact,
  type Lab,
  makeLab,
  makeNode,
  runOf,
  stateOf,
  until,
  untilMoved,
  untilOver,
  withAgent,
} from '../support/agent-lab.js';
import { type AgentProcess, runCommand } from '../support/agent-process.js';
import { redisPid, withQueues } from '../support/agent-queues.js';
import { withMortalRedis } from '../support/redis.js';

interface MidRun {
  readonly lab: Lab;
  readonly runId: number;
  readonly agent: AgentProcess;
  readonly pid: number;
}

function isAway(message: string): boolean {
  return message.startsWith('Redis is away');
}

async function inMidRun(fault: (at: MidRun) => Promise<void>): Promise<MidRun> {
  const lab = await makeLab();
  const { runId } = beginRun(lab.pool, { intensity: 'low' });
  const at = await withAgent(lab, async (agent) => {
    await untilMoved(lab.pool, runId, 3);
    const pid = await withQueues(lab, ({ redis }) => redisPid(redis));
    const midRun = { lab, runId, agent, pid };
    await fault(midRun);
    const run = await untilOver(lab.pool, runId);
    expect(run).toMatchObject({ state: 'completed', progress: { failedCount: 0 } });
    return midRun;
  });
  await expectIntact(lab);
  return at;
}

it('starts its Redis again when that is killed', async () => {
  const { agent } = await inMidRun(async ({ pid, lab }) => {
    process.kill(pid, 'SIGKILL');
    const next = await until('Redis is back', () =>
      withQueues(lab, ({ redis }) => redisPid(redis)).catch(() => null),
    );
    expect(next).not.toBe(pid);
  });
  const said = agent.log().map((line) => line.msg);
  expect(said).toContain('redis-server ended (SIGKILL); starting it again');
  expect(said.filter(isAway)).toHaveLength(1);
  expect(said.filter((line) => line === 'Redis is back')).toHaveLength(1);
});

it('survives that its Redis dies three times in a row', async () => {
  await inMidRun(async ({ lab }) => {
    for (let n = 0; n < 3; n += 1) {
      const pid = await until('Redis answers', () =>
        withQueues(lab, ({ redis }) => redisPid(redis)).catch(() => null),
      );
      process.kill(pid, 'SIGKILL');
    }
  });
});

it('goes on after Redis hung for some seconds', async () => {
  await inMidRun(async ({ pid, lab, runId }) => {
    process.kill(pid, 'SIGSTOP');
    try {
      await sleep(3_000);
      expect(runOf(lab.pool, runId).state).toBe('running');
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  });
});

it('goes on after the clients of Redis were paused', async () => {
  await inMidRun(({ lab }) =>
    withQueues(lab, async ({ redis }) => {
      await redis.client('PAUSE', 1_500, 'ALL');
    }),
  );
});

it('goes on, with its schedule, after Redis was emptied', async () => {
  const lab = await makeLab();
  const { runId } = beginRun(lab.pool, { intensity: 'low' });
  await withAgent(lab, () =>
    withQueues(lab, async ({ queues, redis }) => {
      await untilMoved(lab.pool, runId, 3);
      await redis.flushall();
      expect(await untilOver(lab.pool, runId)).toMatchObject({ state: 'completed' });
      await until('both schedulers are back', async () => {
        const [pass] = await queues.queue('defrag-batch').getJobSchedulers();
        const [tick] = await queues.queue('policy-tick').getJobSchedulers();
        return pass?.key === 'defrag-pass' && tick?.key === 'policy-tick';
      });
    }),
  );
  await expectIntact(lab);
});

it('starts with an empty Redis when the journal of that cannot be read', async () => {
  const lab = await makeLab({ objectCount: 1 });
  await withAgent(lab, async () => {});
  const journals = join(lab.stateDirectory, 'redis', 'appendonlydir');
  for (const name of readdirSync(journals)) writeFileSync(join(journals, name), 'garbage');
  const { runId } = beginRun(lab.pool);
  await withAgent(lab, () => untilOver(lab.pool, runId));
  expect(readdirSync(`${journals}.unreadable`)).not.toEqual([]);
  await expectIntact(lab);
});

it('ends when told to while Redis is away, and loses nothing', async () => {
  const lab = await makeLab({ objectCount: 6 });
  const { runId } = beginRun(lab.pool, { intensity: 'low' });
  await withAgent(lab, async (agent) => {
    await untilMoved(lab.pool, runId, 3);
    const pid = await withQueues(lab, ({ redis }) => redisPid(redis));
    process.kill(pid, 'SIGSTOP');
    expect(await agent.stop()).toMatchObject({ code: 0, signal: null });
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });
  expect(runOf(lab.pool, runId).state).toBe('running');
  expect(beginRun(lab.pool).runId).toBe(runId);
  await withAgent(lab, () => untilOver(lab.pool, runId));
  await expectIntact(lab);
});

it('refuses to start a run while the Redis of the URL is down, and changes nothing', async () => {
  const lab = await makeLab({ objectCount: 1 });
  const node = makeNode({ DYNAMICFS_REDIS_URL: 'redis://127.0.0.1:1' });
  const before = stateOf(lab.pool);
  for (const command of ['defrag start', 'trim now', 'jobs list']) {
    const args = [...command.split(' '), '--pool', lab.pool.path];
    const end = await runCommand(args, node.env);
    expect(end.code).toBe(18);
    expect(end.stderr).toMatch(/Redis at redis:\/\/127\.0\.0\.1:1: .*ECONNREFUSED/);
    expect(end.stderr).toContain('Code: ERR_QUEUE');
  }
  expect(stateOf(lab.pool)).toEqual(before);
});

it('goes on after the Redis of the URL died in mid-run and came back empty', async () => {
  const lab = await makeLab();
  const { runId } = beginRun(lab.pool, { intensity: 'low' });
  await withMortalRedis((redis) => {
    const env = { ...lab.env, DYNAMICFS_REDIS_URL: redis.url };
    return withAgent({ env }, async (agent) => {
      await untilMoved(lab.pool, runId, 3);
      await redis.kill();
      await until('the agent knows', () => agent.log().some((line) => isAway(line.msg)));
      const { doneCount } = runOf(lab.pool, runId).progress;
      const end = await runCommand(['trim', 'now', '--pool', lab.pool.path], env);
      expect(end).toMatchObject({ code: 18 });
      expect(runOf(lab.pool, runId)).toMatchObject({ state: 'running' });

      await redis.startAgain();
      const run = await untilOver(lab.pool, runId);
      expect(run).toMatchObject({ state: 'completed', progress: { failedCount: 0 } });
      expect(run.progress.doneCount).toBeGreaterThan(doneCount);
      await withQueues({ ...lab, env }, async ({ queues }) => {
        await until('both schedulers are back', async () => {
          const [pass] = await queues.queue('defrag-batch').getJobSchedulers();
          const [tick] = await queues.queue('policy-tick').getJobSchedulers();
          return pass?.key === 'defrag-pass' && tick?.key === 'policy-tick';
        });
      });
    });
  });
  await expectIntact(lab);
});

it('runs without its Redis until that is there, and then does what was asked meanwhile', async () => {
  const lab = await makeLab({ objectCount: 1 });
  const { runId } = beginRun(lab.pool);
  const away = { ...lab, env: { ...lab.env, DYNAMICFS_REDIS_URL: 'redis://127.0.0.1:1' } };
  await withAgent(away, async (agent) => {
    const ready = await fetch(`${agent.url()}/readyz`);
    expect(ready.status).toBe(503);
    expect((await fetch(`${agent.url()}/healthz`)).status).toBe(200);
    expect(await (await fetch(`${agent.url()}/metrics`)).text()).toContain('dynamicfs_redis_up 0');
    expect(await agent.stop()).toMatchObject({ code: 0, signal: null });
  });
  expect(runOf(lab.pool, runId).state).toBe('running');
  await withAgent(lab, () => untilOver(lab.pool, runId));
  await expectIntact(lab);
});
