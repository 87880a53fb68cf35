/** How workers behave, in BullMQ's terms. */

import type { WorkerOptions } from 'bullmq';
import type { Redis } from 'ioredis';

/**
 * The locks are short, since the main thread never blocks for long and runs continue under a new
 * epoch anyway. `maximumRateLimitDelay` bounds how late a worker notices a new rate.
 */
export function workerOptions(redis: Redis): WorkerOptions {
  return {
    connection: redis,
    concurrency: 1,
    lockDuration: 15_000,
    stalledInterval: 5_000,
    maxStalledCount: 2,
    maximumRateLimitDelay: 500,
    skipVersionCheck: true,
  };
}
