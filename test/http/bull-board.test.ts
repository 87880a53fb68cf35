/**
 * Bull Board shows the queues to everybody who reaches the port and lets nobody change them, except
 * under /admin/queues, where the token is.
 *
 * Every route of Bull Board that is not a GET is tried, from its own table: a new version that
 * brings one more is tried with it.
 */

import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { setDefragPaused } from '../../src/cli/run-pause.js';
import {
  beginRun,
  type Lab,
  makeLab,
  makeNode,
  runOf,
  until,
  withAgent,
} from '../support/agent-lab.js';
import { type QueueView, withQueues } from '../support/agent-queues.js';
import { ask } from '../support/pages.js';

const TOKEN = 'a token of the operator';
const QUEUE = 'defrag-batch';

interface BoardRoute {
  readonly method: string | readonly string[];
  readonly route: string | readonly string[];
}

function mutatingRoutes(): { method: string; route: string }[] {
  const require = createRequire(import.meta.url);
  // Not exported by name; it lies beside the module that is.
  const { appRoutes } = require(join(dirname(require.resolve('@bull-board/api')), 'routes.js')) as {
    appRoutes: { api: readonly BoardRoute[] };
  };
  return appRoutes.api.flatMap(({ method, route }) =>
    [method]
      .flat()
      .flatMap((verb) =>
        [route].flat().flatMap((path) => (verb === 'get' ? [] : [{ method: verb, route: path }])),
      ),
  );
}

/** A lab with a paused run, and a job of no pass that waits an hour. */
async function withBoard(
  use: (board: { url: string; lab: Lab; view: QueueView; jobId: string }) => Promise<void>,
  env: NodeJS.ProcessEnv = {},
): Promise<void> {
  const lab = await makeLab({ objectCount: 1 });
  const { runId } = beginRun(lab.pool);
  setDefragPaused(lab.pool, true);
  await withAgent(
    lab,
    (agent) =>
      withQueues(lab, async (view) => {
        const data = { v: 1, poolId: lab.pool.id, kind: 'pass' };
        const job = await view.queues.queue(QUEUE).add(QUEUE, data, { delay: 3_600_000 });
        await until('the first pass and tick are over', async () => {
          const [pass, tick] = (['defrag-batch', 'policy-tick'] as const).map((kind) =>
            view.queues.queue(kind).getJobCounts('completed', 'active', 'delayed'),
          );
          const settled = { completed: 1, active: 0 };
          return (
            isSame(await pass, { ...settled, delayed: 2 }) &&
            isSame(await tick, { ...settled, delayed: 1 })
          );
        });
        await use({ url: agent.url(), lab, view, jobId: job.id ?? '' });
        expect(runOf(lab.pool, runId).state).toBe('paused');
      }),
    env,
  );
}

function isSame(
  counts: Record<string, number> | undefined,
  wanted: Record<string, number>,
): boolean {
  return Object.entries(wanted).every(([state, count]) => counts?.[state] === count);
}

async function queueState({ queues }: QueueView): Promise<unknown> {
  const states = queues.all().map(async (queue) => ({
    name: queue.name,
    counts: await queue.getJobCounts(),
    paused: await queue.isPaused(),
    schedulers: (await queue.getJobSchedulers()).map(({ key, every }) => [key, every]),
    rate: await queue.getGlobalRateLimit(),
    concurrency: await queue.getGlobalConcurrency(),
    // When it is due: a scheduler that is set again while a test runs counts from then.
    delayed: (await queue.getDelayed()).map((job) => [job.id, job.data, job.timestamp + job.delay]),
  }));
  return await Promise.all(states);
}

it('serves the page and its scripts, and shows the queues of the pool', async () => {
  await withBoard(async ({ url, lab }) => {
    const root = await ask(url);
    expect([root.status, root.headers.get('location')]).toEqual([302, '/queues']);
    const page = await ask(`${url}/queues`);
    expect(page.status).toBe(200);
    expect(page.headers.get('content-security-policy')).toContain("default-src 'self'");
    const scripts = [...page.text.matchAll(/(?:src|href)="([^"]+\.(?:js|css))"/g)];
    expect(scripts.length).toBeGreaterThan(0);
    for (const [, path = ''] of scripts) {
      expect((await ask(new URL(path, `${url}/queues/`).href)).status).toBe(200);
    }
    const api = await ask(`${url}/queues/api/queues`);
    const names = JSON.parse(api.text).queues.map((queue: { name: string }) => queue.name);
    expect(names).toHaveLength(4);
    for (const name of names) expect(name).toContain(lab.pool.path);
  });
});

it('lets nobody change anything without the token', async () => {
  const routes = mutatingRoutes();
  expect(routes.length).toBeGreaterThan(15);
  await withBoard(async ({ url, view, jobId }) => {
    const before = await queueState(view);
    const api = JSON.parse((await ask(`${url}/queues/api/queues`)).text);
    const queueName: string = api.queues.find((one: { name: string }) =>
      one.name.includes(QUEUE),
    ).name;
    for (const { method, route } of routes) {
      const path = route
        .replace(':queueName', encodeURIComponent(queueName))
        .replace(':jobId', jobId)
        .replace(':schedulerId', 'defrag-pass')
        .replace(':queueStatus', 'delayed');
      const answer = await ask(`${url}/queues${path}`, { method: method.toUpperCase(), body: {} });
      expect([route, answer.status]).toEqual([route, 405]);
      const admin = await ask(`${url}/admin/queues${path}`, {
        method: method.toUpperCase(),
        body: {},
      });
      expect([route, admin.status]).toEqual([route, 404]);
    }
    expect(await queueState(view)).toEqual(before);
  });
});

it('changes what it is told to by whoever has the token', async () => {
  await withBoard(
    async ({ url, view, jobId }) => {
      const board = `${url}/admin/queues`;
      for (const token of [undefined, 'wrong', `${TOKEN}x`]) {
        const answer = await ask(board, token === undefined ? {} : { token });
        expect(answer.status).toBe(401);
        expect(answer.headers.get('www-authenticate')).toContain('Basic realm="dynamicfs"');
      }
      expect((await ask(board, { token: TOKEN })).status).toBe(200);
      const api = await ask(`${board}/api/queues`, { token: TOKEN });
      const { name } = JSON.parse(api.text).queues.find((one: { name: string }) =>
        one.name.includes(QUEUE),
      );
      const clean = `${board}/api/queues/${encodeURIComponent(name)}/${jobId}/clean`;
      expect((await ask(clean, { method: 'PUT', body: {} })).status).toBe(401);
      expect(await view.queues.job(jobId)).not.toBeNull();
      const done = await ask(clean, { method: 'PUT', body: {}, token: TOKEN });
      expect(done.status).toBeLessThan(300);
      expect(await view.queues.job(jobId)).toBeNull();
      // The board that everybody sees stays read-only beside it.
      const path = `${url}/queues/api/queues/${encodeURIComponent(name)}/pause`;
      expect((await ask(path, { method: 'PUT', body: {}, token: TOKEN })).status).toBe(405);
    },
    { DYNAMICFS_HTTP_TOKEN: TOKEN },
  );
});

it('shows no board of a pool while there is none, and has no admin board without a token', async () => {
  await withAgent(makeNode(), async (agent) => {
    const api = await ask(`${agent.url()}/queues/api/queues`);
    expect(JSON.parse(api.text).queues).toEqual([]);
    expect((await ask(`${agent.url()}/admin/queues`)).status).toBe(404);
  });
});
