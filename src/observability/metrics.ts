/**
 * Prometheus metrics of the agent. Counters come from the pools' own totals in SQLite, so they go on
 * after a restart and count what other processes did; gauges are read when they are scraped.
 *
 * docs/metrics.md lists the same names; a test holds the two together.
 */

import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { DiskFigures, FragmentationGauges } from '../domain/pool-figures.js';
import type { RunKind } from '../domain/runs.js';
import type { Totals } from '../domain/totals.js';

/** What is measured of one pool at one scrape. */
export interface PoolFigures {
  readonly poolId: string;
  readonly totals: Totals;
  readonly analysis: FragmentationGauges | null;
  readonly disks: readonly DiskFigures[];
  readonly activeRuns: Readonly<Record<RunKind, number>>;
  readonly jobs: readonly {
    readonly queue: string;
    readonly state: string;
    readonly count: number;
  }[];
}

interface TotalMetric {
  readonly name: string;
  readonly help: string;
  readonly value: (totals: Totals) => number;
}

const MS_PER_SECOND = 1_000;

/** How often the lag of the event loop is looked at: at the library's 10 ms an idle agent never sleeps. */
const LAG_STEP_MS = 100;

export const TOTAL_METRICS: readonly TotalMetric[] = [
  total(
    'defrag_runs_completed',
    'Defragmentation runs that came to their end.',
    (t) => t.defrag_runs_completed,
  ),
  total('defrag_extents_moved', 'Replicas rewritten and verified.', (t) => t.defrag_extents_moved),
  total('defrag_bytes_moved', 'Bytes of the replicas rewritten.', (t) => t.defrag_bytes_moved),
  total(
    'defrag_extents_relocated',
    'Replicas moved only to join free space.',
    (t) => t.defrag_extents_relocated,
  ),
  total(
    'defrag_bytes_relocated',
    'Bytes of the replicas moved only to join free space.',
    (t) => t.defrag_bytes_relocated,
  ),
  total(
    'defrag_extents_skipped',
    'Replicas left alone, for a reason.',
    (t) => t.defrag_extents_skipped,
  ),
  total(
    'defrag_errors',
    'Replicas whose rewrite failed; they are as they were.',
    (t) => t.defrag_errors,
  ),
  total(
    'defrag_busy_seconds',
    'Time that batches were at work.',
    (t) => t.defrag_busy_ms / MS_PER_SECOND,
  ),
  total('trim_operations', 'Trim batches issued.', (t) => t.trim_operations),
  total('trim_ranges', 'Ranges that disks were asked to discard.', (t) => t.trim_ranges),
  total(
    'trim_requested_bytes',
    'Bytes that disks were asked to discard.',
    (t) => t.trim_bytes_requested,
  ),
  total(
    'trim_confirmed_bytes',
    'Bytes seen to be unallocated afterwards.',
    (t) => t.trim_bytes_confirmed,
  ),
  total(
    'trim_bytes_reclaimed',
    'Bytes by which allocation went down.',
    (t) => t.trim_bytes_reclaimed,
  ),
  total('trim_failures', 'Ranges whose discard failed; they stay pending.', (t) => t.trim_failures),
  total('trim_unsupported', 'Ranges on disks that cannot discard.', (t) => t.trim_unsupported),
  total('put_bytes', 'Bytes of objects stored.', (t) => t.put_bytes),
  total('get_bytes', 'Bytes of objects read.', (t) => t.get_bytes),
  total(
    'bad_replicas',
    'Replicas found unreadable or with a wrong checksum.',
    (t) => t.bad_replicas_seen,
  ),
  total(
    'bad_replicas_repaired',
    'Bad replicas that were written anew.',
    (t) => t.bad_replicas_repaired,
  ),
  total(
    'bad_replicas_unrepaired',
    'Repairs that were not possible; they are tried again.',
    (t) => t.bad_replicas_unrepaired,
  ),
  total('repair_bytes', 'Bytes written to repair replicas.', (t) => t.repair_bytes),
  total(
    'replicas_copied',
    'Replicas made on other disks because one failed.',
    (t) => t.replicas_copied,
  ),
  total(
    'tier_replicas_moved',
    'Replicas moved to disks of the tier of their heat.',
    (t) => t.tier_replicas_moved,
  ),
  total('tier_bytes_moved', 'Bytes of these replicas.', (t) => t.tier_bytes_moved),
  total('scrub_replicas', 'Replicas that scrubs read and verified.', (t) => t.scrub_replicas),
  total('scrub_bytes', 'Bytes of the good ones among them.', (t) => t.scrub_bytes),
];

function total(name: string, help: string, value: TotalMetric['value']): TotalMetric {
  return { name: `dynamicfs_${name}_total`, help, value };
}

/** Fills a registry anew from figures; called at each scrape. */
export class Metrics {
  readonly registry = new Registry();
  readonly #counters: readonly { readonly metric: TotalMetric; readonly counter: Counter }[];
  readonly #gauges: ReturnType<typeof makeGauges>;

  constructor() {
    const { registry } = this;
    collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LAG_STEP_MS });
    const registers = [this.registry];
    this.#counters = TOTAL_METRICS.map((metric) => {
      const { name, help } = metric;
      return { metric, counter: new Counter({ name, help, labelNames: ['pool'], registers }) };
    });
    this.#gauges = makeGauges(registers);
  }

  async render(figures: readonly PoolFigures[], redisUp: boolean): Promise<string> {
    for (const { counter } of this.#counters) counter.reset();
    for (const gauge of Object.values(this.#gauges)) gauge.reset();
    this.#gauges.redisUp.set(redisUp ? 1 : 0);
    for (const pool of figures) this.#fill(pool);
    return await this.registry.metrics();
  }

  #fill(figures: PoolFigures): void {
    const pool = figures.poolId;
    for (const { metric, counter } of this.#counters) {
      counter.inc({ pool }, metric.value(figures.totals));
    }
    const gauges = this.#gauges;
    gauges.trimLast.set({ pool }, figures.totals.trim_last_at_ms / MS_PER_SECOND);
    for (const [kind, count] of Object.entries(figures.activeRuns)) {
      gauges.runsActive.set({ pool, kind }, count);
    }
    for (const { queue, state, count } of figures.jobs)
      gauges.jobs.set({ pool, queue, state }, count);
    for (const disk of figures.disks) {
      const labels = { pool, disk: disk.uuid };
      gauges.diskOnline.set(labels, disk.online ? 1 : 0);
      gauges.diskFit.set(labels, disk.fit ? 1 : 0);
      gauges.diskErrors.set(labels, disk.errorCount);
      gauges.diskCapacity.set(labels, disk.capacityBytes);
      for (const state of ['used', 'free', 'pending', 'reserved'] as const) {
        gauges.diskSpace.set({ ...labels, state }, disk[`${state}Bytes`]);
      }
      gauges.trimPendingBytes.set(labels, disk.pendingBytes);
      gauges.trimPendingRanges.set(labels, disk.pendingRunCount);
    }
    if (!figures.analysis) return;
    gauges.poolFragmentation.set({ pool }, figures.analysis.fragmentationRatio);
    gauges.analyzedAt.set({ pool }, figures.analysis.analyzedAtMs / MS_PER_SECOND);
    for (const disk of figures.analysis.disks) {
      gauges.diskFragmentation.set({ pool, disk: disk.diskId }, disk.fragmentationRatio);
    }
  }
}

function makeGauges(registers: Registry[]) {
  const gauge = (name: string, help: string, labelNames: string[]) =>
    new Gauge({ name: `dynamicfs_${name}`, help, labelNames, registers });
  return {
    redisUp: gauge('redis_up', 'Whether Redis answers.', []),
    poolFragmentation: gauge(
      'fragmentation_ratio',
      'Fragmented extents / extents, last analysis.',
      ['pool'],
    ),
    diskFragmentation: gauge('disk_fragmentation_ratio', 'As fragmentation_ratio, of one disk.', [
      'pool',
      'disk',
    ]),
    analyzedAt: gauge('analyzed_timestamp_seconds', 'When the last analysis was made.', ['pool']),
    diskOnline: gauge('disk_online', 'Whether the disk can be read and written.', ['pool', 'disk']),
    diskFit: gauge('disk_fit', 'Whether the copies on the disk count.', ['pool', 'disk']),
    diskErrors: gauge('disk_errors', 'Failed reads and writes since the disk was last healthy.', [
      'pool',
      'disk',
    ]),
    diskCapacity: gauge('disk_capacity_bytes', 'Capacity of a disk.', ['pool', 'disk']),
    diskSpace: gauge('disk_space_bytes', 'Bytes of a disk by state; they add up to its capacity.', [
      'pool',
      'disk',
      'state',
    ]),
    trimPendingBytes: gauge('trim_pending_bytes', 'Freed bytes that wait for a trim.', [
      'pool',
      'disk',
    ]),
    trimPendingRanges: gauge('trim_pending_ranges', 'Runs of freed bytes that wait for a trim.', [
      'pool',
      'disk',
    ]),
    trimLast: gauge('trim_last_timestamp_seconds', 'When the last trim batch ended; 0 for never.', [
      'pool',
    ]),
    runsActive: gauge('runs_active', 'Runs that are open.', ['pool', 'kind']),
    jobs: gauge('queue_jobs', 'Jobs in the queues of the pool.', ['pool', 'queue', 'state']),
  };
}
