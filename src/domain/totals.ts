/** Counters of a pool that only go up, over all processes and restarts; metrics are read from them. */

export const TOTAL_NAMES = [
  'defrag_runs_completed',
  'defrag_extents_moved',
  'defrag_bytes_moved',
  'defrag_extents_relocated',
  'defrag_bytes_relocated',
  'defrag_extents_skipped',
  'defrag_errors',
  'defrag_busy_ms',
  'trim_operations',
  'trim_ranges',
  'trim_bytes_requested',
  'trim_bytes_confirmed',
  'trim_bytes_reclaimed',
  'trim_failures',
  'trim_bytes_refused',
  'trim_unsupported',
  'trim_last_at_ms',
  'put_bytes',
  'get_bytes',
  'bad_replicas_seen',
  'bad_replicas_repaired',
  'bad_replicas_unrepaired',
  'repair_bytes',
  'replicas_copied',
  'tier_replicas_moved',
  'tier_bytes_moved',
  'scrub_replicas',
  'scrub_bytes',
  'governor_full_ms',
  'governor_yielding_ms',
  'governor_held_ms',
] as const;
export type TotalName = (typeof TOTAL_NAMES)[number];
export type Totals = Readonly<Record<TotalName, number>>;

/** Bytes written to move data that was well where it was: what maintenance costs an SSD. */
export const WEAR_TOTALS = [
  'defrag_bytes_moved',
  'defrag_bytes_relocated',
  'tier_bytes_moved',
] as const satisfies readonly TotalName[];
