/** Where the agent listens, what probes are told, and what happens when the port is taken. */

import { once } from 'node:events';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { expect, it } from 'vitest';
import { makeLab, makeNode, until, withAgent } from '../support/agent-lab.js';
import { spawnAgent } from '../support/agent-process.js';
import { redisPid, withQueues } from '../support/agent-queues.js';
import { ask } from '../support/pages.js';

async function withBusyPort<T>(use: (port: number) => Promise<T>): Promise<T> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    return await use((server.address() as { port: number }).port);
  } finally {
    server.close();
  }
}

it('is alive while Redis hangs, but not ready, and ready again afterwards', async () => {
  const lab = await makeLab({ objectCount: 1 });
  await withAgent(lab, async (agent) => {
    const ready = () => ask(`${agent.url()}/readyz`);
    // On a busy machine Redis may take a moment too long for the first answer.
    const first = await until('it is ready', async () => {
      const answer = await ready();
      return answer.status === 200 ? answer : null;
    });
    expect(JSON.parse(first.text)).toEqual({ status: 'ready', redis: true, pools: 1 });
    const pid = await withQueues(lab, ({ redis }) => redisPid(redis));
    process.kill(pid, 'SIGSTOP');
    try {
      const hung = await ready();
      expect([hung.status, JSON.parse(hung.text)]).toEqual([
        503,
        { status: 'not ready', redis: false, pools: 1 },
      ]);
      expect((await ask(`${agent.url()}/healthz`)).status).toBe(200);
      const metrics = await ask(`${agent.url()}/metrics`);
      expect([metrics.status, metrics.text.includes('dynamicfs_redis_up 0')]).toEqual([200, true]);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await until('it is ready again', async () => (await ready()).status === 200);
  });
});

it('listens on loopback only', async () => {
  await withAgent(makeNode(), async (agent) => {
    const { port, hostname } = new URL(agent.url());
    expect(hostname).toBe('127.0.0.1');
    const others = Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .filter(({ internal, family }) => !internal && family === 'IPv4');
    for (const { address } of others) {
      await expect(ask(`http://${address}:${port}/healthz`)).rejects.toThrow('fetch failed');
    }
  });
});

it('refuses to start when the port that was asked for is taken', async () => {
  await withBusyPort(async (port) => {
    const node = makeNode();
    const end = await spawnAgent(node.env, ['--http', `127.0.0.1:${port}`]).ended();
    expect(end.code).toBe(26);
    expect(end.stderr).toContain(`cannot listen on 127.0.0.1:${port}`);
    expect(end.stderr).toContain('Choose another address with --http, or --no-http');
    // Nothing of it is left that would be in the way of the next one.
    await withAgent(node, async () => {});
  });
});

it.each(['nonsense', '127.0.0.1', '127.0.0.1:70000'])('refuses the address %s', async (address) => {
  const end = await spawnAgent(makeNode().env, ['--http', address]).ended();
  expect(end.code).toBe(2);
  expect(end.stderr).toContain(`not an address: "${address}"`);
});

it('serves no pages when told so', async () => {
  const agent = spawnAgent(makeNode().env, ['--no-http']);
  await agent.ready();
  expect(agent.url()).toBe('');
  expect(await agent.stop()).toMatchObject({ code: 0 });
});
