/** The counters among the metrics: the totals of a pool, in base units. */

import type { Totals } from '../domain/totals.js';

export interface TotalMetric {
  readonly name: string;
  readonly help: string;
  readonly value: (totals: Totals) => number;
}

const MS_PER_SECOND = 1_000;

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
  total(
    'trim_refused_bytes',
    'Bytes whose discard was accepted, and that are seen to be allocated still.',
    (t) => t.trim_bytes_refused,
  ),
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
