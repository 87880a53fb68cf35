/** Gathers what /metrics tells of one pool. */

import { type GovernorStatus, isCurrent } from '../domain/governor-pace.js';
import type { DiskFigures, FragmentationGauges } from '../domain/pool-figures.js';
import { END_CAUSES, RECLAMATION_TRIGGERS, type Reclamation } from '../domain/reclamation.js';
import { RUN_KINDS, type Run } from '../domain/runs.js';
import type { PaybackMetrics, PoolFigures } from '../observability/metrics.js';
import { poolForecasts } from '../pool/forecasts.js';
import type { MaintainedPool } from '../pool/maintained-pool.js';
import { lastMeasured, paybackVerdict } from '../pool/payback.js';
import { JOB_KINDS } from '../queue/names.js';
import type { PoolQueues } from '../queue/pool-queues.js';
import { wornTodayBytes } from '../store/trends.js';

/** A pool that the agent works on. */
export interface ServedPool {
  readonly pool: MaintainedPool;
  readonly queues: PoolQueues;
  disks(): DiskFigures[];
  /** The last analysis; null before the first. */
  fragmentation(): FragmentationGauges | null;
}

export async function poolFigures(served: ServedPool, redisUp: boolean): Promise<PoolFigures> {
  const { store, clock } = served.pool.context;
  const policy = store.policies.effective();
  return {
    poolId: served.pool.id,
    totals: store.totals.read(),
    analysis: served.fragmentation(),
    disks: served.disks(),
    governor: governorNow(served.pool),
    forecasts: poolForecasts(served.pool.context),
    activeRuns: activeRuns(store.runs.openRuns()),
    endedRuns: endedRuns(store.runs.endedCounts()),
    policyEnabled: policy.enabled,
    payback: paybackNow(served.pool),
    wear: {
      todayBytes: wornTodayBytes(store, clock()),
      budgetBytesPerDay: policy.wearBudgetBytesPerDay,
    },
    openReclamation: openReclamation(store.reclamations.open()),
    endedReclamations: endedReclamations(store.reclamations.endedCounts()),
    jobs: redisUp ? await jobCounts(served.queues) : [],
  };
}

function activeRuns(open: readonly Run[]): PoolFigures['activeRuns'] {
  const counts = RUN_KINDS.map((kind) => {
    const ofKind = open.filter((run) => run.kind === kind);
    const pausedCount = ofKind.filter((run) => run.state === 'paused').length;
    return [kind, { openCount: ofKind.length, pausedCount }] as const;
  });
  return Object.fromEntries(counts) as PoolFigures['activeRuns'];
}

/** With those that are none: whoever watches for an increase must have seen the 0 before it. */
function endedRuns(counts: PoolFigures['endedRuns']): PoolFigures['endedRuns'] {
  return RUN_KINDS.flatMap((kind) =>
    (['completed', 'failed', 'stopped'] as const).map((state) => {
      const found = counts.find((one) => one.kind === kind && one.state === state);
      return { kind, state, count: found?.count ?? 0 };
    }),
  );
}

function openReclamation(open: Reclamation | null): PoolFigures['openReclamation'] {
  return open?.state === 'running' || open?.state === 'paused' ? open.state : null;
}

/** As with runs, also those that are none. */
function endedReclamations(
  counts: PoolFigures['endedReclamations'],
): PoolFigures['endedReclamations'] {
  const ends = ['completed', 'failed', 'stopped', ...END_CAUSES];
  return RECLAMATION_TRIGGERS.flatMap((trigger) =>
    ends.map((end) => {
      const found = counts.find((one) => one.trigger === trigger && one.end === end);
      return { trigger, end, count: found?.count ?? 0 };
    }),
  );
}

function governorNow({ context: { store, clock } }: MaintainedPool): GovernorStatus | null {
  const status = store.governor.status();
  if (!status || !isCurrent(status, clock())) return null;
  return store.runs.get(status.runId)?.state === 'running' ? status : null;
}

function paybackNow({ context }: MaintainedPool): PaybackMetrics {
  const { verdict, gainRatio, backsOffUntilMs } = paybackVerdict(context);
  return { last: lastMeasured(context), gainRatio, verdict, backsOff: backsOffUntilMs !== null };
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
