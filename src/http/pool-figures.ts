/** Gathers what /metrics tells of one pool. */

import type { PoolFigures } from '../observability/metrics.js';
import { accountDisks } from '../pool/extent-pool/audit.js';
import type { ExtentPool } from '../pool/extent-pool/extent-pool.js';
import { JOB_KINDS } from '../queue/names.js';
import type { PoolQueues } from '../queue/pool-queues.js';

/** A pool that the agent works on. */
export interface ServedPool {
  readonly pool: ExtentPool;
  readonly queues: PoolQueues;
}

export async function poolFigures(
  { pool, queues }: ServedPool,
  redisUp: boolean,
): Promise<PoolFigures> {
  const { context } = pool;
  const { store } = context;
  const accounts = accountDisks(context);
  const open = store.runs.openRuns();
  const count = (kind: string) => open.filter((run) => run.kind === kind).length;
  return {
    poolId: pool.id,
    totals: store.totals.read(),
    analysis: context.settings().lastAnalysis ?? null,
    disks: store.disks.all().map((disk) => {
      const account = accounts.find((one) => one.diskId === disk.diskId);
      return {
        uuid: disk.uuid,
        online: context.diskState(disk).condition === 'online',
        capacityBytes: disk.capacityBytes,
        usedBytes: account?.usedBytes ?? 0,
        freeBytes: account?.freeBytes ?? 0,
        pendingBytes: account?.pendingBytes ?? 0,
        pendingRunCount: account?.pendingRunCount ?? 0,
        reservedBytes: account?.reservedBytes ?? 0,
      };
    }),
    activeRuns: { defrag: count('defrag'), evacuate: count('evacuate'), trim: count('trim') },
    jobs: redisUp ? await jobCounts(queues) : [],
  };
}

async function jobCounts(queues: ServedPool['queues']): Promise<PoolFigures['jobs']> {
  const counts = await Promise.all(
    JOB_KINDS.map(async (queue) => {
      const states = await queues
        .queue(queue)
        .getJobCounts('waiting', 'active', 'delayed', 'failed', 'prioritized');
      return Object.entries(states).map(([state, count]) => ({ queue, state, count }));
    }),
  );
  return counts.flat();
}
