/**
 * Listens for who asks for the agent's pages, on loopback by default. The pages themselves, with
 * Fastify and Bull Board, are loaded when the first one is asked for: many agents are never asked, and
 * start in half the time without.
 */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Redis } from 'ioredis';
import { asMaintenanceError, MaintenanceError } from '../domain/errors.js';
import type { RegisteredPoolState } from './agent-figures.js';
import type { ServedPool } from './pool-figures.js';

export interface PagesOptions {
  readonly token: string | null;
  readonly pools: () => readonly ServedPool[];
  /** All pools of the node that are this agent's to work on, in trouble or not. */
  readonly registered: () => readonly RegisteredPoolState[];
  readonly redis: Redis;
}

export type Pages = (request: IncomingMessage, response: ServerResponse) => void;

interface HttpOptions extends PagesOptions {
  readonly address: string;
  readonly anyPort: boolean;
}

export interface HttpServer {
  readonly url: string;
  close(): Promise<void>;
}

/** @throws MaintenanceError ERR_AGENT when the address cannot be listened on. */
export async function createHttpServer(options: HttpOptions): Promise<HttpServer> {
  const server = createServer();
  let pages: Promise<Pages> | null = null;
  server.on('request', async (request, response) => {
    try {
      pages ??= loadPages(server, options);
      (await pages)(request, response);
    } catch (cause) {
      // The next request tries again.
      pages = null;
      refuse(response, cause);
    }
  });
  const url = await listen(server, options);
  return {
    url,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** As a rule the agent's own files were replaced under it, by an upgrade. */
function refuse(response: ServerResponse, cause: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  response
    .writeHead(500, { 'content-type': 'text/plain; charset=utf-8' })
    .end(`The agent's pages cannot be loaded: ${asMaintenanceError(cause).message}\n${RESTART}\n`);
}

const RESTART = `Next: restart the agent, with \`systemctl restart dynamicfs-agent\`, or \`dynamicfs agent stop\` and
\`dynamicfs agent run\`. Its work goes on without the pages. If it says so again, install dynamicfs anew.`;

async function loadPages(server: Server, options: PagesOptions): Promise<Pages> {
  const { createPages } = await import('./pages.js');
  return await createPages(server, options);
}

/** @returns the URL. */
async function listen(server: Server, options: HttpOptions): Promise<string> {
  const { host, port } = splitAddress(options.address);
  try {
    return await listenOn(server, host, port);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EADDRINUSE' && options.anyPort) {
      return await listenOn(server, host, 0);
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

async function listenOn(server: Server, host: string, port: number): Promise<string> {
  server.listen({ host, port });
  await once(server, 'listening');
  const { address, family, port: given } = server.address() as AddressInfo;
  // Who listens everywhere is reached on loopback too.
  if (family === 'IPv6') return `http://[${address === '::' ? '::1' : address}]:${given}`;
  return `http://${address === '0.0.0.0' ? '127.0.0.1' : address}:${given}`;
}

/** @throws MaintenanceError ERR_USAGE when it is no `host:port`. */
function splitAddress(address: string): { host: string; port: number } {
  const match = /^(.*):(\d{1,5})$/.exec(address);
  if (!match?.[1] || Number(match[2]) > 65_535) {
    throw new MaintenanceError('ERR_USAGE', `not an address: "${address}"`, {
      nextStep: 'Write host and port, for example 127.0.0.1:9476.',
    });
  }
  return { host: match[1].replace(/^\[|\]$/g, ''), port: Number(match[2]) };
}
