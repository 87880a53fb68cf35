/**
 * The agent's pages, on loopback: Bull Board, /metrics, /healthz, /readyz.
 *
 * Bull Board is read-only for everybody who can reach the port. With a token set, `/admin/queues` is
 * the board that can also change things, for whoever gives it as the password.
 */

import { timingSafeEqual } from 'node:crypto';
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { FastifyAdapter } from '@bull-board/fastify';
import basicAuth from '@fastify/basic-auth';
import helmet from '@fastify/helmet';
import { type FastifyInstance, type FastifyReply, fastify } from 'fastify';
import type { Redis } from 'ioredis';
import { asMaintenanceError, MaintenanceError } from '../domain/errors.js';
import { Metrics } from '../observability/metrics.js';
import { agentFigures, type RegisteredPoolState, redisFigures } from './agent-figures.js';
import { poolFigures, type ServedPool } from './pool-figures.js';

export interface HttpOptions {
  readonly address: string;
  readonly anyPort: boolean;
  readonly token: string | null;
  readonly pools: () => readonly ServedPool[];
  /** All pools of the node that are this agent's to work on, in trouble or not. */
  readonly registered: () => readonly RegisteredPoolState[];
  readonly redis: Redis;
}

export interface HttpServer {
  readonly url: string;
  close(): Promise<void>;
}

const BOARD_PATH = '/queues';
const ADMIN_BOARD_PATH = '/admin/queues';

/** @throws MaintenanceError ERR_AGENT when the address cannot be listened on. */
export async function createHttpServer(options: HttpOptions): Promise<HttpServer> {
  const server = fastify({ forceCloseConnections: true });
  // Bull Board's page carries inline styles and one inline JSON script; nothing is loaded from afar.
  const directives = {
    'default-src': ["'self'"],
    'script-src': ["'self'", "'unsafe-inline'"],
    'style-src': ["'self'", "'unsafe-inline'"],
    'img-src': ["'self'", 'data:'],
    'upgrade-insecure-requests': null,
  };
  await server.register(helmet, { contentSecurityPolicy: { directives }, hsts: false });
  server.get('/', (_request, reply) => reply.redirect(BOARD_PATH));
  serveHealth(server, options);
  serveMetrics(server, options);
  await serveBoard(server, options, BOARD_PATH, true);
  if (options.token !== null) await serveAdminBoard(server, options, options.token);
  const url = await listen(server, options);
  return { url, close: () => server.close() };
}

function serveHealth(server: FastifyInstance, { redis, pools }: HttpOptions): void {
  server.get('/healthz', () => ({ status: 'ok' }));
  server.get('/readyz', async (_request, reply) => {
    const redisUp = (await redisFigures(redis)) !== null;
    if (!redisUp) reply.status(503);
    return { status: redisUp ? 'ready' : 'not ready', redis: redisUp, pools: pools().length };
  });
}

function serveMetrics(server: FastifyInstance, options: HttpOptions): void {
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
  { pools }: HttpOptions,
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
  options: HttpOptions,
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

async function listen(server: FastifyInstance, options: HttpOptions): Promise<string> {
  const [host, portText] = splitAddress(options.address);
  const port = Number(portText);
  try {
    return await server.listen({ host, port });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EADDRINUSE' && options.anyPort) {
      return await server.listen({ host, port: 0 });
    }
    throw new MaintenanceError(
      'ERR_AGENT',
      `cannot listen on ${options.address}: ${asMaintenanceError(cause).message}`,
      {
        cause,
        nextStep: 'Choose another address with --http, or --no-http.',
      },
    );
  }
}

/** @throws MaintenanceError ERR_USAGE when it is no `host:port`. */
function splitAddress(address: string): [host: string, port: string] {
  const match = /^(.*):(\d{1,5})$/.exec(address);
  if (!match?.[1] || Number(match[2]) > 65_535) {
    throw new MaintenanceError('ERR_USAGE', `not an address: "${address}"`, {
      nextStep: 'Write host and port, for example 127.0.0.1:9476.',
    });
  }
  return [match[1].replace(/^\[|\]$/g, ''), match[2] ?? ''];
}
