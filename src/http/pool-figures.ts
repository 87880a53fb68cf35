/** Gathers what /metrics tells of one pool. */

import type { DiskFigures, FragmentationGauges } from '../domain/pool-figures.js';
import { RUN_KINDS, type RunKind } from '../domain/runs.js';
import type { PoolFigures } from '../observability/metrics.js';
import type { MaintainedPool } from '../pool/maintained-pool.js';
import { JOB_KINDS } from '../queue/names.js';
import type { PoolQueues } from '../queue/pool-queues.js';

/** A pool that the agent works on. */
export interface ServedPool {
  readonly pool: MaintainedPool;
  readonly queues: PoolQueues;
  disks(): DiskFigures[];
  /** The last analysis; null before the first. */
  fragmentation(): FragmentationGauges | null;
}

export async function poolFigures(served: ServedPool, redisUp: boolean): Promise<PoolFigures> {
  const { store } = served.pool.context;
  const open = store.runs.openRuns();
  const count = (kind: string) => open.filter((run) => run.kind === kind).length;
  return {
    poolId: served.pool.id,
    totals: store.totals.read(),
    analysis: served.fragmentation(),
    disks: served.disks(),
    activeRuns: Object.fromEntries(RUN_KINDS.map((kind) => [kind, count(kind)])) as Record<
      RunKind,
      number
    >,
    jobs: redisUp ? await jobCounts(served.queues) : [],
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
