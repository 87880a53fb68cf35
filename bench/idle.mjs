/**
 * What an agent costs that has nothing to do.
 *
 * One pool, a defragmentation behind it, its threads given back. Limit: 150 MB of memory (VmRSS) and
 * 1 % of one processor over 30 s, of the agent alone; its Redis is told beside it.
 */

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { childrenOf, startAgent, stopAgent } from './support/agent.mjs';
import { cpuMs, memoryBytes, runCommand } from './support/child.mjs';
import { row } from './support/figures.mjs';
import { makePool, scatter } from './support/fragmented-pool.mjs';

export const title = 'An idle agent with one pool.';

const WINDOW_MS = 30_000;
const WINDOW_COUNT = 3;
/** Threads go 5 s after their last task. */
const SETTLE_MS = 8_000;

export async function run({ directory, say }) {
  const env = { DYNAMICFS_STATE_DIR: join(directory, 'state') };
  const pool = await makePool(directory, { extentCount: 16, threadCount: 2 });
  scatter(pool, 4);
  const path = pool.path;
  await pool.close();
  const agent = await startAgent(env);
  try {
    const defrag = ['defrag', 'start', '--pool', path, '--once', '--wait'];
    runCommand([...defrag, '--intensity', 'high', '--threads', '2'], env);
    say('waiting for its threads to go');
    await sleep(SETTLE_MS);
    say(`measuring for ${(WINDOW_COUNT * WINDOW_MS) / 1000} s`);
    return await watch(agent.pid);
  } finally {
    await stopAgent(agent);
  }
}

async function watch(pid) {
  const redis = childrenOf(pid);
  const agentShares = [];
  const redisShares = [];
  const memory = [];
  const redisCpuMs = () => redis.reduce((sum, child) => sum + cpuMs(child), 0);
  for (let window = 0; window < WINDOW_COUNT; window += 1) {
    const before = { agent: cpuMs(pid), redis: redisCpuMs() };
    await sleep(WINDOW_MS);
    agentShares.push((100 * (cpuMs(pid) - before.agent)) / WINDOW_MS);
    redisShares.push((100 * (redisCpuMs() - before.redis)) / WINDOW_MS);
    memory.push(memoryBytes(pid, 'VmRSS') / 1e6);
  }
  const redisMemory = redis.reduce((sum, child) => sum + memoryBytes(child, 'VmRSS'), 0) / 1e6;
  return [
    row('agent, memory', 'MB', memory, { below: 150 }),
    row('agent, share of one processor', '%', agentShares, { below: 1 }),
    row('Redis, memory', 'MB', [redisMemory]),
    row('Redis, share of one processor', '%', redisShares),
  ];
}
