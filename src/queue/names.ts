/** Names in Redis. Queues belong to a pool, so that rate and pause do too. */

export const JOB_KINDS = ['analyze', 'defrag-batch', 'trim-batch', 'policy-tick'] as const;
export type JobKind = (typeof JOB_KINDS)[number];

/** The braces are a hash tag: all keys of a pool lie in one slot of a Redis Cluster. */
export function queuePrefix(poolId: string): string {
  return `{dynamicfs-${poolId}}`;
}

/** Lower is sooner. Manual work goes before scheduled work. */
export const PRIORITY = { manual: 1, scheduled: 10 } as const;

/** Kept for `jobs list` and Bull Board; BullMQ forgets the rest when another job ends. */
export const JOB_OPTIONS = {
  attempts: 3,
  backoff: { type: 'exponential', delay: 1_000 },
  removeOnComplete: { count: 200, age: 24 * 60 * 60 },
  removeOnFail: { count: 200 },
} as const;
