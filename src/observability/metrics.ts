/**
 * Prometheus metrics of the agent. Counters come from the pools' own totals in SQLite, so they go on
 * after a restart and count what other processes did; gauges are read when they are scraped.
 *
 * docs/metrics.md lists the same names; a test holds the two together.
 */

import { Counter, collectDefaultMetrics, Registry } from 'prom-client';
import type { Foreseen, ThresholdForecast } from '../domain/forecast.js';
import { GOVERNOR_CAUSES, GOVERNOR_STATES } from '../domain/governor.js';
import type { GovernorStatus } from '../domain/governor-pace.js';
import { type LastPayback, PAYBACK_VERDICTS, type PaybackVerdictKind } from '../domain/payback.js';
import type { DiskFigures, FragmentationGauges } from '../domain/pool-figures.js';
import type { ReclamationTrigger } from '../domain/reclamation.js';
import type { RunKind, RunState } from '../domain/runs.js';
import type { Totals } from '../domain/totals.js';
import { makeGauges } from './gauges.js';
import { TOTAL_METRICS, type TotalMetric } from './total-metrics.js';

/** What is measured of one pool at one scrape. */
export interface PoolFigures {
  readonly poolId: string;
  readonly totals: Totals;
  readonly analysis: FragmentationGauges | null;
  readonly disks: readonly DiskFigures[];
  /** Null while no run is at work. */
  readonly governor: GovernorStatus | null;
  readonly forecasts: Readonly<Record<Foreseen, ThresholdForecast>>;
  readonly activeRuns: Readonly<Record<RunKind, RunCounts>>;
  readonly endedRuns: readonly {
    readonly kind: RunKind;
    readonly state: RunState;
    readonly count: number;
  }[];
  readonly policyEnabled: boolean;
  readonly payback: PaybackMetrics;
  readonly wear: WearMetrics;
  /** Null while none is open. */
  readonly openReclamation: 'running' | 'paused' | null;
  readonly endedReclamations: readonly {
    readonly trigger: ReclamationTrigger;
    readonly end: string;
    readonly count: number;
  }[];
  readonly jobs: readonly {
    readonly queue: string;
    readonly state: string;
    readonly count: number;
  }[];
}

/** Null is what is not known. */
export interface PaybackMetrics {
  readonly last: LastPayback | null;
  readonly gainRatio: number | null;
  readonly verdict: PaybackVerdictKind;
  readonly backsOff: boolean;
}

export interface WearMetrics {
  readonly todayBytes: number;
  /** Null where the policy has none. */
  readonly budgetBytesPerDay: number | null;
}

interface RunCounts {
  readonly openCount: number;
  readonly pausedCount: number;
}

/** What is measured of the agent itself and of what it leans on. */
export interface AgentFigures {
  readonly version: string;
  /** Null while Redis does not answer. */
  readonly redis: RedisFigures | null;
  /** The pools of this node, but those that another agent works on. */
  readonly pools: readonly { readonly poolId: string; readonly isUp: boolean }[];
  /** Null where the kernel does not count. */
  readonly deviceIo: { readonly readBytes: number; readonly writtenBytes: number } | null;
}

export interface RedisFigures {
  readonly pingMs: number;
  readonly memoryBytes: number;
  readonly isPersistent: boolean;
}

const MS_PER_SECOND = 1_000;

/** How often the lag of the event loop is looked at: at the library's 10 ms an idle agent never sleeps. */
const LAG_STEP_MS = 100;

/** Fills a registry anew from figures; called at each scrape. */
export class Metrics {
  readonly registry = new Registry();
  readonly #totals: readonly { readonly metric: TotalMetric; readonly counter: Counter }[];
  readonly #gauges: ReturnType<typeof makeGauges>;
  readonly #counters: ReturnType<typeof makeCounters>;

  constructor() {
    const { registry } = this;
    collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LAG_STEP_MS });
    const registers = [this.registry];
    this.#totals = TOTAL_METRICS.map((metric) => {
      const { name, help } = metric;
      return { metric, counter: new Counter({ name, help, labelNames: ['pool'], registers }) };
    });
    this.#counters = makeCounters(registers);
    this.#gauges = makeGauges(registers);
  }

  async render(pools: readonly PoolFigures[], agent: AgentFigures): Promise<string> {
    for (const { counter } of this.#totals) counter.reset();
    for (const counter of Object.values(this.#counters)) counter.reset();
    for (const gauge of Object.values(this.#gauges)) gauge.reset();
    this.#fillAgent(agent);
    for (const pool of pools) this.#fillPool(pool);
    return await this.registry.metrics();
  }

  #fillAgent({ version, redis, pools, deviceIo }: AgentFigures): void {
    const gauges = this.#gauges;
    gauges.agentInfo.set({ version }, 1);
    for (const { poolId, isUp } of pools) gauges.poolUp.set({ pool: poolId }, isUp ? 1 : 0);
    gauges.redisUp.set(redis ? 1 : 0);
    if (redis) {
      gauges.redisPing.set(redis.pingMs / MS_PER_SECOND);
      gauges.redisMemory.set(redis.memoryBytes);
      gauges.redisPersistent.set(redis.isPersistent ? 1 : 0);
    }
    if (!deviceIo) return;
    this.#counters.ioBytes.inc({ direction: 'read' }, deviceIo.readBytes);
    this.#counters.ioBytes.inc({ direction: 'write' }, deviceIo.writtenBytes);
  }

  #fillPool(figures: PoolFigures): void {
    const pool = figures.poolId;
    for (const { metric, counter } of this.#totals) {
      counter.inc({ pool }, metric.value(figures.totals));
    }
    this.#fillRuns(figures);
    this.#fillReclamations(figures);
    this.#fillGovernor(figures);
    this.#fillForecasts(figures);
    this.#fillPayback(pool, figures.payback);
    this.#fillWear(pool, figures.wear);
    for (const disk of figures.disks) this.#fillDisk(pool, disk);
    const gauges = this.#gauges;
    gauges.trimLast.set({ pool }, figures.totals.trim_last_at_ms / MS_PER_SECOND);
    if (!figures.analysis) return;
    gauges.poolFragmentation.set({ pool }, figures.analysis.fragmentationRatio);
    gauges.analyzedAt.set({ pool }, figures.analysis.analyzedAtMs / MS_PER_SECOND);
    for (const disk of figures.analysis.disks) {
      gauges.diskFragmentation.set({ pool, disk: disk.diskId }, disk.fragmentationRatio);
    }
  }

  #fillRuns({ poolId: pool, activeRuns, endedRuns, jobs }: PoolFigures): void {
    const gauges = this.#gauges;
    for (const [kind, { openCount, pausedCount }] of Object.entries(activeRuns)) {
      gauges.runsActive.set({ pool, kind }, openCount);
      gauges.runsPaused.set({ pool, kind }, pausedCount);
    }
    for (const { kind, state, count } of endedRuns) {
      this.#counters.runsEnded.inc({ pool, kind, state }, count);
    }
    for (const { queue, state, count } of jobs) gauges.jobs.set({ pool, queue, state }, count);
  }

  #fillReclamations(figures: PoolFigures): void {
    const { poolId: pool, openReclamation, endedReclamations, policyEnabled } = figures;
    const gauges = this.#gauges;
    gauges.policyEnabled.set({ pool }, policyEnabled ? 1 : 0);
    for (const state of ['running', 'paused']) {
      gauges.reclamationOpen.set({ pool, state }, openReclamation === state ? 1 : 0);
    }
    for (const { trigger, end, count } of endedReclamations) {
      this.#counters.reclamations.inc({ pool, trigger, end }, count);
    }
  }

  #fillGovernor({ poolId: pool, governor: status, totals }: PoolFigures): void {
    const times = [
      ['full', totals.governor_full_ms],
      ['yielding', totals.governor_yielding_ms],
      ['held', totals.governor_held_ms],
    ] as const;
    for (const [pace, ms] of times) {
      this.#counters.governorTime.inc({ pool, pace }, ms / MS_PER_SECOND);
    }
    const gauges = this.#gauges;
    for (const cause of GOVERNOR_CAUSES) {
      gauges.governorCause.set({ pool, cause }, cause === status?.cause ? 1 : 0);
    }
    for (const state of GOVERNOR_STATES) {
      gauges.governorState.set({ pool, state }, state === status?.state ? 1 : 0);
    }
    gauges.governorPace.set({ pool }, status?.paceRatio ?? 0);
    gauges.governorForeground.set({ pool }, status?.foregroundPerSec ?? 0);
    gauges.governorLatency.set({ pool }, (status?.latencyMs ?? 0) / MS_PER_SECOND);
  }

  /** Where nothing is foreseen there is no figure: none would mean "never". */
  #fillForecasts({ poolId: pool, forecasts }: PoolFigures): void {
    for (const [threshold, { forecast }] of Object.entries(forecasts)) {
      if (forecast.kind !== 'passes') continue;
      this.#gauges.forecast.set({ pool, threshold }, forecast.atMs / MS_PER_SECOND);
    }
  }

  /** As with forecasts: what was not measured has no figure, since each would mean something. */
  #fillPayback(pool: string, { last, gainRatio, verdict, backsOff }: PaybackMetrics): void {
    const gauges = this.#gauges;
    if (last) {
      gauges.paybackRead.set({ pool }, last.readRatio);
      gauges.paybackMeasuredAt.set({ pool }, last.measuredAtMs / MS_PER_SECOND);
    }
    if (gainRatio !== null) gauges.paybackGain.set({ pool }, gainRatio);
    for (const one of PAYBACK_VERDICTS) {
      gauges.paybackVerdict.set({ pool, verdict: one }, one === verdict ? 1 : 0);
    }
    gauges.paybackBacksOff.set({ pool }, backsOff ? 1 : 0);
  }

  #fillWear(pool: string, { todayBytes, budgetBytesPerDay }: WearMetrics): void {
    const gauges = this.#gauges;
    gauges.wearToday.set({ pool }, todayBytes);
    if (budgetBytesPerDay === null) return;
    gauges.wearBudget.set({ pool }, budgetBytesPerDay);
    gauges.wearUsed.set({ pool }, todayBytes / budgetBytesPerDay);
  }

  #fillDisk(pool: string, disk: DiskFigures): void {
    const gauges = this.#gauges;
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
}

/** Counters that are no totals of a pool. */
function makeCounters(registers: Registry[]) {
  const counter = (name: string, help: string, labelNames: string[]) =>
    new Counter({ name: `dynamicfs_${name}_total`, help, labelNames, registers });
  return {
    runsEnded: counter('runs_ended', 'Runs that are over, by how they ended.', [
      'pool',
      'kind',
      'state',
    ]),
    reclamations: counter(
      'reclamations',
      'Reclamations that are over, by what began and ended them.',
      ['pool', 'trigger', 'end'],
    ),
    governorTime: counter('governor_seconds', 'Time of batches, by the pace they were let have.', [
      'pool',
      'pace',
    ]),
    ioBytes: counter('agent_io_bytes', 'Bytes that devices read and wrote for the agent.', [
      'direction',
    ]),
  };
}
