/**
 * Connections to Redis: the one of `DYNAMICFS_REDIS_URL`, or the embedded one on its Unix socket.
 *
 * A command must fail at once when Redis is away; a worker must wait until it is back.
 */

import { join } from 'node:path';
import { Redis, type RedisOptions } from 'ioredis';
import { MaintenanceError } from '../domain/errors.js';

export type RedisTarget =
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'embedded'; readonly socketPath: string };

export function redisTarget(stateDirectory: string): RedisTarget {
  const url = process.env.DYNAMICFS_REDIS_URL;
  if (url) return { kind: 'url', url };
  return { kind: 'embedded', socketPath: join(stateDirectory, 'redis.sock') };
}

/** Without user and password: it is printed. */
export function describeTarget(target: RedisTarget): string {
  if (target.kind === 'embedded') return target.socketPath;
  try {
    const { protocol, host } = new URL(target.url);
    return `${protocol}//${host}`;
  } catch {
    return 'DYNAMICFS_REDIS_URL';
  }
}

const COMMAND_TIMEOUT_MS = 3_000;

/** For workers: reconnects for ever. `maxRetriesPerRequest: null` is BullMQ's demand. */
export function connectWorker(target: RedisTarget): Redis {
  const redis = open(target, {
    maxRetriesPerRequest: null,
    retryStrategy: (tries) => Math.min(50 * 2 ** Math.min(tries, 6), 2_000),
  });
  // Every client of BullMQ reports it too; without a listener it would be printed each time.
  redis.on('error', () => {});
  return redis;
}

/** For commands: connected and answering. @throws MaintenanceError ERR_QUEUE within 3 s. */
export async function connectCommand(target: RedisTarget): Promise<Redis> {
  const redis = open(target, {
    lazyConnect: true,
    connectTimeout: COMMAND_TIMEOUT_MS,
    commandTimeout: COMMAND_TIMEOUT_MS,
    maxRetriesPerRequest: null,
    enableOfflineQueue: false,
    retryStrategy: () => null,
  });
  let lastError: unknown = null;
  redis.on('error', (error) => {
    lastError = error;
  });
  try {
    await redis.connect();
    await redis.ping();
    return redis;
  } catch (cause) {
    disconnect(redis);
    throw unreachable(target, lastError ?? cause);
  }
}

/** ioredis waits two seconds for the end of a connection that there never was, and the process with it. */
export function disconnect(redis: Redis): void {
  if (redis.status !== 'end') redis.disconnect();
}

function unreachable(target: RedisTarget, cause: unknown): MaintenanceError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new MaintenanceError('ERR_QUEUE', `Redis at ${describeTarget(target)}: ${reason}`, {
    cause,
    nextStep:
      target.kind === 'url'
        ? 'Check DYNAMICFS_REDIS_URL and that this Redis runs. Nothing was changed.'
        : 'Its agent starts it again within seconds: try once more, or see `dynamicfs agent status`. Nothing was changed.',
  });
}

function open(target: RedisTarget, options: Omit<RedisOptions, 'replyMapping'>): Redis {
  if (target.kind === 'embedded') return new Redis({ ...options, path: target.socketPath });
  return new Redis(target.url, options);
}
