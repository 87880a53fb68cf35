/**
 * The agent's pages: Bull Board, /metrics, /healthz, /readyz. src/http/server.ts loads this when the
 * first of them is asked for.
 *
 * Bull Board is read-only for everybody who can reach the port. With a token set, `/admin/queues` is
 * the board that can also change things, for whoever gives it as the password.
 */

import { timingSafeEqual } from 'node:crypto';
import type { Server } from 'node:http';
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { FastifyAdapter } from '@bull-board/fastify';
import basicAuth from '@fastify/basic-auth';
import helmet from '@fastify/helmet';
import { type FastifyInstance, type FastifyReply, fastify } from 'fastify';
import { Metrics } from '../observability/metrics.js';
import { agentFigures, redisFigures } from './agent-figures.js';
import { poolFigures } from './pool-figures.js';
import type { Pages, PagesOptions } from './server.js';

const BOARD_PATH = '/queues';
const ADMIN_BOARD_PATH = '/admin/queues';

/** @returns what answers a request; `server` is whose requests they are. */
export async function createPages(server: Server, options: PagesOptions): Promise<Pages> {
  const pages = fastify({ serverFactory: () => server });
  // Bull Board's page carries inline styles and one inline JSON script; nothing is loaded from afar.
  const directives = {
    'default-src': ["'self'"],
    'script-src': ["'self'", "'unsafe-inline'"],
    'style-src': ["'self'", "'unsafe-inline'"],
    'img-src': ["'self'", 'data:'],
    'upgrade-insecure-requests': null,
  };
  await pages.register(helmet, { contentSecurityPolicy: { directives }, hsts: false });
  pages.get('/', (_request, reply) => reply.redirect(BOARD_PATH));
  serveHealth(pages, options);
  serveMetrics(pages, options);
  await serveBoard(pages, options, BOARD_PATH, true);
  if (options.token !== null) await serveAdminBoard(pages, options, options.token);
  await pages.ready();
  return pages.routing;
}

function serveHealth(server: FastifyInstance, { redis, pools }: PagesOptions): void {
  server.get('/healthz', () => ({ status: 'ok' }));
  server.get('/readyz', async (_request, reply) => {
    const redisUp = (await redisFigures(redis)) !== null;
    if (!redisUp) reply.status(503);
    return { status: redisUp ? 'ready' : 'not ready', redis: redisUp, pools: pools().length };
  });
}

function serveMetrics(server: FastifyInstance, options: PagesOptions): void {
  const metrics = new Metrics();
  server.get('/metrics', async (_request, reply) => {
    const agent = await agentFigures(options.redis, options.registered());
    const asked = options.pools().map((pool) => poolFigures(pool, agent.redis !== null));
    const figures = (await Promise.allSettled(asked)).flatMap((one) =>
      // A pool that cannot be read is missing; the others are still told of.
      one.status === 'fulfilled' ? [one.value] : [],
    );
    reply.type(metrics.registry.contentType);
    return await metrics.render(figures, agent);
  });
}

/** Pools come and go while the agent runs, so the board's list is made anew when it is asked for. */
async function serveBoard(
  server: FastifyInstance,
  { pools }: PagesOptions,
  path: string,
  readOnlyMode: boolean,
): Promise<void> {
  const serverAdapter = new FastifyAdapter();
  serverAdapter.setBasePath(path);
  const board = createBullBoard({ queues: [], serverAdapter });
  let shown = '';
  const refresh = () => {
    const wanted = pools();
    const key = wanted.map(({ pool }) => pool.id).join();
    if (key === shown) return;
    shown = key;
    const adapters = wanted.flatMap(({ pool, queues }) =>
      queues
        .all()
        .map(
          (queue) =>
            new BullMQAdapter(queue, { readOnlyMode, prefix: `${pool.path} `, delimiter: ' ' }),
        ),
    );
    board.replaceQueues(adapters);
  };
  await server.register(async (scope) => {
    scope.addHook('onRequest', async (request, reply) => {
      refresh();
      // Bull Board answers some of them with success, though it does nothing then.
      if (readOnlyMode && request.method !== 'GET') return await refuseChange(reply);
    });
    await scope.register(serverAdapter.registerPlugin(), { prefix: path });
  });
}

function refuseChange(reply: FastifyReply): FastifyReply {
  return reply.status(405).send({
    error: 'This board is read-only.',
    nextStep: `Start the agent with DYNAMICFS_HTTP_TOKEN set, and use ${ADMIN_BOARD_PATH}.`,
  });
}

async function serveAdminBoard(
  server: FastifyInstance,
  options: PagesOptions,
  token: string,
): Promise<void> {
  await server.register(async (scope) => {
    await scope.register(basicAuth, {
      authenticate: { realm: 'dynamicfs' },
      validate: async (_user, password) => {
        if (!sameText(password, token)) throw new Error('wrong token');
      },
    });
    scope.addHook('onRequest', scope.basicAuth);
    await serveBoard(scope, options, ADMIN_BOARD_PATH, false);
  });
}

function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
