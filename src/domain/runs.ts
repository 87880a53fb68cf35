/**
 * A run: one defragmentation, evacuation, repair, scrub, change of tiers or trim, made of batches.
 *
 * States and exits:
 *   running → completed            nothing left to do
 *   running → stopped              somebody stopped it
 *   running → failed               an error that no batch can get around
 *   running ⇄ paused               `paused` keeps the run open; no batch starts
 * A run lives in SQLite. Jobs only carry its id, so a lost Redis or agent delays it, no more.
 */

import type { Intensity } from './defrag-plan.js';
import type { WireError } from './errors.js';

export const RUN_KINDS = ['defrag', 'evacuate', 'trim', 'repair', 'scrub', 'tier'] as const;
export type RunKind = (typeof RUN_KINDS)[number];

export const RUN_STATES = ['running', 'paused', 'completed', 'stopped', 'failed'] as const;
export type RunState = (typeof RUN_STATES)[number];

/**
 * What started a run: a person at the CLI or API, the 60 s pass, the step of a reclamation, a trim
 * trigger, a bad replica or disk.
 */
export type RunTrigger =
  | 'manual'
  | 'pass'
  | 'reclamation'
  | 'threshold'
  | 'schedule'
  | 'evacuation'
  | 'bad-replica'
  | 'degraded-disk'
  | 'lost-disk'
  | 'returned-disk';

export interface Run {
  readonly runId: number;
  readonly kind: RunKind;
  readonly state: RunState;
  readonly trigger: RunTrigger;
  readonly intensity: Intensity;
  readonly threadCount: number;
  /** The disk that is evacuated or trimmed; null for all disks of the pool. */
  readonly diskId: number | null;
  readonly secureErase: boolean;
  /** Number of the batch to run next: a job that carries another number was superseded. */
  readonly batchIndex: number;
  /** Trim: where the next batch begins; null before the first. */
  readonly cursorDiskId: number | null;
  readonly cursorBytes: number;
  readonly startedAtMs: number;
  readonly endedAtMs: number | null;
  readonly error: WireError | null;
  readonly progress: RunProgress;
}

/** Defragmentation counts extents and bytes moved; a trim counts ranges and bytes asked. */
export interface RunProgress {
  /** Replicas to rewrite, or pending bytes, when the run began. */
  readonly plannedCount: number;
  readonly plannedBytes: number;
  readonly processedCount: number;
  /** File systems only, whose files differ in size by orders of magnitude; else 0. */
  readonly processedBytes: number;
  readonly doneCount: number;
  readonly skippedCount: number;
  readonly failedCount: number;
  readonly unsupportedCount: number;
  /** Files moved that somebody wrote to meanwhile, so that nothing could be compared. */
  readonly unverifiedCount: number;
  /** Bytes of rewritten extents, or bytes that the disk was asked to discard. */
  readonly doneBytes: number;
  /** Trim: bytes seen to be unallocated afterwards. */
  readonly confirmedBytes: number;
  /** Trim: bytes by which the allocation of the disks went down. */
  readonly reclaimedBytes: number;
  /** Time during which batches were at work. */
  readonly busyMs: number;
  /** What the governor let the run do, and for how long: docs/governor.md. */
  readonly fullPaceMs: number;
  readonly yieldingMs: number;
  /** Held back, or looked before it began. */
  readonly heldMs: number;
}

export const NO_PROGRESS: RunProgress = {
  plannedCount: 0,
  plannedBytes: 0,
  processedCount: 0,
  processedBytes: 0,
  doneCount: 0,
  skippedCount: 0,
  failedCount: 0,
  unsupportedCount: 0,
  unverifiedCount: 0,
  doneBytes: 0,
  confirmedBytes: 0,
  reclaimedBytes: 0,
  busyMs: 0,
  fullPaceMs: 0,
  yieldingMs: 0,
  heldMs: 0,
};

export function isOpen(state: RunState): boolean {
  return state === 'running' || state === 'paused';
}

/**
 * Counts the time at work only, so that a pause does not make a run look slow.
 *
 * @returns milliseconds until the run ends at its pace so far; null before there is a pace.
 */
export function estimatedRemainingMs(run: Run): number | null {
  const { plannedCount, processedCount, plannedBytes, processedBytes, busyMs } = run.progress;
  if (!isOpen(run.state) || processedCount === 0) return null;
  const [planned, processed] =
    processedBytes > 0 ? [plannedBytes, processedBytes] : [plannedCount, processedCount];
  return Math.round((busyMs / processed) * Math.max(0, planned - processed));
}

/** What a run left alone, by reason. */
export interface RunExclusion {
  readonly outcome: 'skipped' | 'failed';
  readonly reason: string;
  readonly count: number;
}
