/**
 * A Redis that tests name by URL: from testcontainers where a container engine answers, else a
 * private redis-server on a free port of the loopback. Which of the two is printed once a run.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectCommand } from '../../src/queue/connection.js';
import { memoryDirectory } from './temp-directory.js';

const IMAGE = 'redis:7-alpine';
const START_TIMEOUT_MS = 60_000;
const PORT_TRIES = 5;

/** Runs `use` with the URL of an empty Redis that keeps what it is told and evicts nothing. */
export async function withRedis<T>(use: (url: string) => Promise<T>): Promise<T> {
  const redis = (await startContainer()) ?? (await startProcess());
  try {
    return await use(redis.url);
  } finally {
    await redis.stop();
  }
}

/**
 * As `withRedis`, one that can die and come back, empty, at the same URL. Always a process: a container
 * that starts again may have another port.
 */
export async function withMortalRedis<T>(use: (redis: MortalRedis) => Promise<T>): Promise<T> {
  const redis = await startProcess();
  try {
    return await use(redis);
  } finally {
    await redis.stop();
  }
}

export interface MortalRedis {
  readonly url: string;
  kill(): Promise<void>;
  /** After `kill`; what it knew is lost. */
  startAgain(): Promise<void>;
}

interface StartedRedis {
  readonly url: string;
  stop(): Promise<unknown>;
}

/** @returns null where no container engine answers. */
async function startContainer(): Promise<StartedRedis | null> {
  const { GenericContainer, getContainerRuntimeClient } = await import('testcontainers');
  try {
    await getContainerRuntimeClient();
  } catch {
    return null;
  }
  const container = await new GenericContainer(IMAGE)
    .withCommand(['redis-server', '--maxmemory-policy', 'noeviction'])
    .withExposedPorts(6379)
    .start();
  say(`tests take their Redis from testcontainers (${IMAGE})`);
  const url = `redis://${container.getHost()}:${container.getMappedPort(6379)}`;
  return { url, stop: () => container.stop() };
}

async function startProcess(): Promise<StartedRedis & MortalRedis> {
  const directory = memoryDirectory('redis');
  let started: { readonly port: number; readonly child: ChildProcess } | null = null;
  for (let tries = 0; !started && tries < PORT_TRIES; tries += 1) {
    const port = await freePort();
    const child = await spawnOn(port, directory);
    // Somebody else may have taken the port since.
    if (child) started = { port, child };
  }
  if (!started) throw new Error('redis-server did not start');
  say('tests take their Redis from a private redis-server: no container engine answers');
  const { port } = started;
  let { child } = started;
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  const startAgain = async () => {
    const next = await spawnOn(port, directory);
    if (!next) throw new Error(`redis-server did not start again on port ${port}`);
    child = next;
  };
  return { url: `redis://127.0.0.1:${port}`, stop: kill, kill, startAgain };
}

/** @returns null when it ended at once. @throws Error when it does not answer in time. */
async function spawnOn(port: number, directory: string): Promise<ChildProcess | null> {
  const options = ['--bind', '127.0.0.1', '--save', '', '--maxmemory-policy', 'noeviction'];
  const child = spawn('redis-server', ['--port', String(port), '--dir', directory, ...options], {
    stdio: 'ignore',
  });
  const endAtMs = performance.now() + START_TIMEOUT_MS;
  while (!(await answers(`redis://127.0.0.1:${port}`)) || child.exitCode !== null) {
    if (child.exitCode !== null || child.signalCode !== null) return null;
    if (performance.now() > endAtMs) {
      child.kill('SIGKILL');
      throw new Error(`redis-server does not answer on port ${port}`);
    }
    await sleep(25);
  }
  return child;
}

async function answers(url: string): Promise<boolean> {
  try {
    (await connectCommand({ kind: 'url', url })).disconnect();
    return true;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address ? address.port : 0;
}

/** Files of tests are processes of their own: a file in the root of the run tells who was first. */
function say(message: string): void {
  try {
    const marker = join(process.env.DYNAMICFS_TEST_TMP ?? '', 'redis-was-announced');
    writeFileSync(marker, message, { flag: 'wx' });
    console.log(message);
  } catch {
    // Another file has said it.
  }
}
