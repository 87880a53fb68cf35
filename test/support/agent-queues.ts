/** A test's own look into the Redis of an agent: its queues, and its process. */

import type { Job } from 'bullmq';
import type { Redis } from 'ioredis';
import { connectCommand, redisTarget } from '../../src/queue/connection.js';
import type { JobKind } from '../../src/queue/names.js';
import { PoolQueues } from '../../src/queue/pool-queues.js';
import { type Lab, until } from './agent-lab.js';

export interface QueueView {
  readonly redis: Redis;
  readonly queues: PoolQueues;
}

/** Of the embedded Redis, or of the one that the lab's environment names. */
export async function withQueues<T>(
  lab: Pick<Lab, 'pool' | 'stateDirectory' | 'env'>,
  use: (view: QueueView) => Promise<T>,
): Promise<T> {
  const url = lab.env.DYNAMICFS_REDIS_URL;
  const target = url ? ({ kind: 'url', url } as const) : redisTarget(lab.stateDirectory);
  const redis = await connectCommand(target);
  const queues = new PoolQueues(lab.pool.id, redis);
  try {
    return await use({ redis, queues });
  } finally {
    await queues.close();
    redis.disconnect();
  }
}

/** Adds a job as somebody could who reaches Redis, and waits until it was judged. */
export async function addAndJudge(
  { queues }: QueueView,
  kind: JobKind,
  data: unknown,
  options: { readonly jobId?: string } = {},
): Promise<Job> {
  const { id = '' } = await queues.queue(kind).add(kind, data, options);
  return await until(`job ${id} is over`, async () => {
    const job = await queues.queue(kind).getJob(id);
    return job?.finishedOn === undefined ? null : job;
  });
}

export async function redisPid(redis: Redis): Promise<number> {
  return Number(/process_id:(\d+)/.exec(await redis.info('server'))?.[1]);
}
