/**
 * A command's link to the queues of one pool: agent there, Redis answering, pool registered.
 *
 * Opened before anything is written, so that a command which cannot reach the queue changes nothing.
 */

import type { Run } from '../domain/runs.js';
import { makeStateDirectory } from '../kernel/state-directory.js';
import type { MaintainedPool } from '../pool/maintained-pool.js';
import type { PoolQueues } from '../queue/pool-queues.js';
import { Registry } from '../store/registry.js';
import { ensureAgent } from './agent-control.js';

export interface QueueLink {
  readonly queues: PoolQueues;
  /** Hands the next batch of a run to the agent now; it would notice by itself within a second. */
  enqueue(runId: number): Promise<string | null>;
  close(): Promise<void>;
}

/**
 * @param note told when an agent was started in the background.
 * @throws MaintenanceError ERR_AGENT, ERR_QUEUE.
 */
export async function linkQueue(
  pool: MaintainedPool,
  note: (message: string) => void,
): Promise<QueueLink> {
  const stateDirectory = makeStateDirectory();
  const [{ connectCommand, redisTarget }, { PoolQueues }] = await Promise.all([
    import('../queue/connection.js'),
    import('../queue/pool-queues.js'),
  ]);
  const target = redisTarget(stateDirectory);
  if (target.kind === 'embedded') {
    const agent = await ensureAgent();
    if (agent.started) {
      note(`Started the agent in the background (pid ${agent.info.pid}, log ${agent.logPath})`);
    }
  }
  const redis = await connectCommand(target);
  registerPool(pool);
  const queues = new PoolQueues(pool.id, redis);
  const { runs, owner } = pool.context.store;
  return {
    queues,
    enqueue: async (runId) => {
      const run: Run | null = runs.get(runId);
      return run && (await queues.addBatch(run, owner.read()?.epoch ?? 0));
    },
    close: async () => {
      await queues.close();
      redis.disconnect();
    },
  };
}

/** Tells this node's agent of a pool. A file system was registered when its store was made. */
export function registerPool(pool: MaintainedPool): void {
  if (pool.kind === 'file-system') return;
  const registry = new Registry(makeStateDirectory());
  try {
    registry.register({
      poolId: pool.id,
      path: pool.path,
      kind: 'extent',
      fileSystemUuid: null,
      registeredAtMs: Date.now(),
    });
  } finally {
    registry.close();
  }
}
