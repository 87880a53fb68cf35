/** The gauges among the metrics; what they mean at length is in docs/metrics.md. */

import { Gauge, type Registry } from 'prom-client';

/** All of them, empty, in the registry. */
export function makeGauges(registers: Registry[]) {
  const gauge = (name: string, help: string, labelNames: string[]) =>
    new Gauge({ name: `dynamicfs_${name}`, help, labelNames, registers });
  return {
    agentInfo: gauge('agent_info', 'Always 1; which version the agent has.', ['version']),
    poolUp: gauge('pool_up', 'Whether the agent can work on the pool.', ['pool']),
    governorState: gauge('governor_state', 'Whether the governor is in this state.', [
      'pool',
      'state',
    ]),
    governorCause: gauge('governor_cause', 'Whether this is why the governor is in its state.', [
      'pool',
      'cause',
    ]),
    governorPace: gauge('governor_pace_ratio', 'Share of the time in which runs may work.', [
      'pool',
    ]),
    governorForeground: gauge(
      'governor_foreground_requests_per_second',
      'Requests of others to the devices, estimated.',
      ['pool'],
    ),
    governorLatency: gauge(
      'governor_foreground_latency_seconds',
      'Mean latency of the devices while others use them.',
      ['pool'],
    ),
    policyEnabled: gauge('policy_enabled', 'Whether the policy begins anything by itself.', [
      'pool',
    ]),
    reclamationOpen: gauge('reclamation_open', 'Whether a reclamation is in this state.', [
      'pool',
      'state',
    ]),
    paybackRead: gauge(
      'payback_read_ratio',
      'Time to read a sample cold after the last measured run / before it.',
      ['pool'],
    ),
    paybackGain: gauge(
      'payback_gain_ratio',
      'Share of the reading time that runs save, median of the last ones.',
      ['pool'],
    ),
    paybackMeasuredAt: gauge(
      'payback_measured_timestamp_seconds',
      'When the last measured run was measured.',
      ['pool'],
    ),
    paybackVerdict: gauge('payback_verdict', 'Whether this is what is said of moving data.', [
      'pool',
      'verdict',
    ]),
    paybackBacksOff: gauge(
      'payback_backs_off',
      'Whether triggers move nothing because it does not pay.',
      ['pool'],
    ),
    wearToday: gauge('wear_today_bytes', 'Bytes rewritten by moving data since midnight UTC.', [
      'pool',
    ]),
    wearBudget: gauge('wear_budget_bytes', 'Bytes that the policy lets be rewritten in a day.', [
      'pool',
    ]),
    wearUsed: gauge('wear_budget_used_ratio', 'Bytes rewritten today / the budget of the day.', [
      'pool',
    ]),
    redisUp: gauge('redis_up', 'Whether Redis answers.', []),
    redisPing: gauge('redis_ping_seconds', 'How long it took to answer.', []),
    redisMemory: gauge('redis_memory_bytes', 'Memory that Redis uses.', []),
    redisPersistent: gauge(
      'redis_persistent',
      'Whether Redis keeps an append-only file, and the last write to it succeeded.',
      [],
    ),
    poolFragmentation: gauge(
      'fragmentation_ratio',
      'Fragmented extents / extents, last analysis.',
      ['pool'],
    ),
    diskFragmentation: gauge('disk_fragmentation_ratio', 'As fragmentation_ratio, of one disk.', [
      'pool',
      'disk',
    ]),
    forecast: gauge(
      'forecast_timestamp_seconds',
      'When a threshold will be passed at the present growth.',
      ['pool', 'threshold'],
    ),
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
    runsPaused: gauge('runs_paused', 'Runs that are open and paused.', ['pool', 'kind']),
    jobs: gauge('queue_jobs', 'Jobs in the queues of the pool.', ['pool', 'queue', 'state']),
  };
}
