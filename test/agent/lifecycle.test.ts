/**
 * From start to drain: what a command that needs an agent does, what SIGTERM does, and pools that
 * come while the agent runs.
 */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
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
import { runCommand, spawnAgent } from '../support/agent-process.js';
import { redisPid, withQueues } from '../support/agent-queues.js';

it.each(['SIGTERM', 'SIGINT'] as const)(
  'finishes the extent under way at %s and ends, with its Redis; the run stays open',
  async (signal) => {
    const lab = await makeLab({ objectCount: 6 });
    const { pool } = lab;
    const { runId } = beginRun(pool, { intensity: 'low' });
    const agent = spawnAgent(lab.env);
    await agent.ready();
    const pid = await withQueues(lab, ({ redis }) => redisPid(redis));
    await untilMoved(pool, runId, 1);
    process.kill(agent.pid, signal);
    expect(await agent.ended()).toMatchObject({ code: 0, signal: null });
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    expect(existsSync(join(lab.stateDirectory, 'agent.json'))).toBe(false);
    expect(agent.log().at(-1)?.msg).toBe('agent stopped');
    expect(agent.log().filter((line) => line.level > 30)).toEqual([]);
    await expectIntact(lab);

    expect(runOf(pool, runId).state).toBe('running');
    expect(beginRun(pool).runId).toBe(runId);
    await withAgent(lab, () => untilOver(pool, runId));
    expect(candidateCount(pool)).toBe(0);
    await expectIntact(lab);
  },
);

it('is started by the command that needs it, which says so on standard error', async () => {
  const lab = await makeLab({ objectCount: 1 });
  const node = makeNode();
  const args = ['--pool', lab.pool.path, '--once', '--wait', '--intensity', 'high'];
  try {
    const first = await runCommand(['defrag', 'start', ...args], node.env);
    expect(first).toMatchObject({ code: 0 });
    expect(first.stderr).toMatch(
      /Started the agent in the background \(pid \d+, log \/.*agent\.log\)/,
    );
    expect(first.stdout).not.toContain('agent');
    expect(candidateCount(lab.pool)).toBe(0);

    const second = await runCommand(['defrag', 'start', ...args], node.env);
    expect(second.stderr).not.toContain('Started the agent');
    expect(second.stdout).toContain('Nothing is fragmented now');
  } finally {
    const stop = await runCommand(['agent', 'stop'], node.env);
    expect(stop.stdout).toContain('Agent stopped');
  }
  expect(readdirSync(node.stateDirectory)).not.toContain('redis.sock');
  await expectIntact(lab);
});

it('starts one agent when several commands need one at once', async () => {
  const lab = await makeLab({ objectCount: 1 });
  const node = makeNode();
  try {
    const ends = await Promise.all(
      [1, 2, 3].map(() => runCommand(['agent', 'start', '--json'], node.env)),
    );
    expect(ends.map((end) => [end.code, end.stderr])).toEqual(ends.map(() => [0, '']));
    const pids = ends.map((end) => JSON.parse(end.stdout).pid);
    expect(new Set(pids).size).toBe(1);
  } finally {
    await runCommand(['agent', 'stop'], node.env);
  }
  await expectIntact(lab);
});

it('is replaced by a command that comes while it drains', async () => {
  const lab = await makeLab({ objectCount: 1 });
  const first = spawnAgent(lab.env);
  try {
    await first.ready();
    // An agent whose Redis hangs needs seconds to end.
    process.kill(await withQueues(lab, ({ redis }) => redisPid(redis)), 'SIGSTOP');
    process.kill(first.pid, 'SIGTERM');
    await until('it drains', () => !existsSync(join(lab.stateDirectory, 'agent.json')));
    const start = await runCommand(['agent', 'start', '--json'], lab.env);
    expect(start.code).toBe(0);
    expect(JSON.parse(start.stdout).pid).not.toBe(first.pid);
    expect(await first.ended()).toMatchObject({ code: 0 });
  } finally {
    await runCommand(['agent', 'stop'], lab.env);
  }
  await expectIntact(lab);
});

it('works on several pools at once, and on one that is registered while it runs', async () => {
  const labs = [await makeLab(), await makeLab()];
  const late = await makeLab({ objectCount: 1 });
  const node = makeNode();
  for (const lab of labs) register(node.stateDirectory, lab.pool);
  await withAgent(node, async (agent) => {
    const runs = labs.map(({ pool }) => ({
      pool,
      runId: beginRun(pool, { intensity: 'low' }).runId,
    }));
    // Neither waits for the other to end.
    for (const { pool, runId } of runs) await untilMoved(pool, runId, 1);
    expect(runs.map(({ pool, runId }) => runOf(pool, runId).state)).toEqual(['running', 'running']);

    const { runId } = beginRun(late.pool);
    register(node.stateDirectory, late.pool);
    await untilOver(late.pool, runId);
    for (const run of runs) await untilOver(run.pool, run.runId);
    expect(agent.log().filter((line) => line.msg === 'pool taken')).toHaveLength(3);
  });
  for (const lab of [...labs, late]) await expectIntact(lab);
});

it('finishes a run that is killed again and again at any moment', async () => {
  const lab = await makeLab();
  const { pool } = lab;
  const { runId } = beginRun(pool, { intensity: 'low', threadCount: 2 });
  for (let kills = 0; kills < 4; kills += 1) {
    const agent = spawnAgent(lab.env);
    const { doneCount } = runOf(pool, runId).progress;
    await until('it moves on', () => {
      const run = runOf(pool, runId);
      return run.endedAtMs !== null || run.progress.doneCount > doneCount;
    });
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 150));
    expect(await agent.kill()).toMatchObject({ signal: 'SIGKILL' });
  }
  await withAgent(lab, () => untilOver(pool, runId));
  expect(runOf(pool, runId)).toMatchObject({ state: 'completed', progress: { failedCount: 0 } });
  expect(candidateCount(pool)).toBe(0);
  await expectIntact(lab);
});

it('yields the processor with every thread, also those that Node began before it could say so', async () => {
  const lab = await makeLab({ objectCount: 1 });
  const agent = spawnAgent(lab.env);
  await agent.ready();
  const tasks = `/proc/${agent.pid}/task`;
  const niceOf = (threadId: string) => {
    const stat = readFileSync(join(tasks, threadId, 'stat'), 'latin1');
    // Source: proc(5), field 19, counted from the state, which follows the name in parentheses.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16];
  };
  const threadIds = readdirSync(tasks);
  expect(threadIds.length).toBeGreaterThan(4);
  expect(new Set(threadIds.map(niceOf))).toEqual(new Set(['10']));
  process.kill(agent.pid, 'SIGTERM');
  expect(await agent.ended()).toMatchObject({ code: 0 });
});
