/**
 * A Redis that tests name by URL: from testcontainers where a container engine answers, else a
 * private redis-server on a free port of the loopback. Which of the two is printed once a run.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectCommand } from '../../src/queue/connection.js';
import { memoryDirectory } from './temp-directory.js';

const IMAGE = 'redis:7-alpine';
const START_TIMEOUT_MS = 60_000;

/** Runs `use` with the URL of an empty Redis that keeps what it is told and evicts nothing. */
export async function withRedis<T>(use: (url: string) => Promise<T>): Promise<T> {
  const redis = (await startContainer()) ?? (await startProcess());
  try {
    return await use(redis.url);
  } finally {
    await redis.stop();
  }
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

async function startProcess(): Promise<StartedRedis> {
  const port = await freePort();
  const options = ['--bind', '127.0.0.1', '--save', '', '--maxmemory-policy', 'noeviction'];
  const directory = memoryDirectory('redis');
  const child = spawn('redis-server', ['--port', String(port), '--dir', directory, ...options], {
    stdio: 'ignore',
  });
  say('tests take their Redis from a private redis-server: no container engine answers');
  const url = `redis://127.0.0.1:${port}`;
  const endAtMs = performance.now() + START_TIMEOUT_MS;
  while (!(await answers(url))) {
    if (performance.now() > endAtMs || child.exitCode !== null) {
      throw new Error(`redis-server did not start on port ${port}`);
    }
    await sleep(25);
  }
  const stop = async () => {
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  return { url, stop };
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
