/** Gathers what /metrics and /readyz tell of the agent itself and of its Redis. */

import type { Redis } from 'ioredis';
import { packageVersion } from '../kernel/package-root.js';
import { processIo } from '../kernel/process-io.js';
import type { AgentFigures, RedisFigures } from '../observability/metrics.js';

const REDIS_TIMEOUT_MS = 1_000;

/** A pool of this node's registry, and whether the agent can work on it. */
export interface RegisteredPoolState {
  readonly poolId: string;
  readonly isUp: boolean;
}

export async function agentFigures(
  redis: Redis,
  pools: readonly RegisteredPoolState[],
): Promise<AgentFigures> {
  return {
    version: packageVersion(),
    redis: await redisFigures(redis),
    pools,
    deviceIo: processIo(),
  };
}

/** @returns null when Redis does not answer soon. */
export async function redisFigures(redis: Redis): Promise<RedisFigures | null> {
  if (redis.status !== 'ready') return null;
  const timeout = new Promise<null>((resolve) => {
    setTimeout(resolve, REDIS_TIMEOUT_MS, null).unref();
  });
  return await Promise.race([askRedis(redis).catch(() => null), timeout]);
}

async function askRedis(redis: Redis): Promise<RedisFigures> {
  const askedAtMs = performance.now();
  await redis.ping();
  const pingMs = performance.now() - askedAtMs;
  const info = await redis.info();
  const field = (name: string) => new RegExp(`^${name}:(\\S*)`, 'm').exec(info)?.[1] ?? '';
  return {
    pingMs,
    memoryBytes: Number(field('used_memory')),
    isPersistent: field('aof_enabled') === '1' && field('aof_last_write_status') === 'ok',
  };
}
