/**
 * Which queues of a pool somebody paused in BullMQ itself, through Bull Board mostly.
 *
 * The store knows nothing of it, and what waits in such a queue waits for as long as it stays so.
 */

import { asMaintenanceError } from '../domain/errors.js';
import { stateDirectory } from '../kernel/state-directory.js';
import type { JobKind } from '../queue/names.js';

/** Starts no agent. @returns null where Redis does not answer. */
export async function pausedQueues(poolId: string): Promise<JobKind[] | null> {
  const [{ connectCommand, redisTarget }, { PoolQueues }] = await Promise.all([
    import('../queue/connection.js'),
    import('../queue/pool-queues.js'),
  ]);
  try {
    const redis = await connectCommand(redisTarget(stateDirectory()));
    const queues = new PoolQueues(poolId, redis);
    try {
      return await queues.paused();
    } finally {
      await queues.close();
      redis.disconnect();
    }
  } catch (cause) {
    if (asMaintenanceError(cause).code === 'ERR_QUEUE') return null;
    throw cause;
  }
}
