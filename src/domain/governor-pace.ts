/** How a pace reaches the threads, and how a governor is shown. Pure. */

import type { Governing, GovernorBounds, GovernorState } from './governor.js';
import type { RunKind, RunProgress } from './runs.js';

/** Of these, others feel every piece, and nobody waits for them. */
const YIELDING_KINDS: ReadonlySet<RunKind> = new Set(['defrag', 'tier']);

/**
 * Share of the time in which a run may work.
 *
 * Only what moves data yields by share: a trim, a scrub or an evacuation is gentle by its own pace, and
 * at 0.2 % of the time would never end. It still pauses.
 */
export function paceOf(kind: RunKind, paceRatio: number): number {
  return paceRatio === 0 || YIELDING_KINDS.has(kind) ? paceRatio : 1;
}

/** As what time in a state counts. */
export const PACE_OF_STATE = {
  fixed: 'fullPaceMs',
  full: 'fullPaceMs',
  yielding: 'yieldingMs',
  looking: 'heldMs',
  paused: 'heldMs',
} as const satisfies Record<GovernorState, keyof RunProgress>;

/**
 * How a pace is told to a thread: 0 is the full pace, `DUTY_PAUSED` a pause, anything else millionths
 * of the time.
 */
const DUTY_PAUSED = -1;
const DUTY_WHOLE = 1_000_000;
/** No rest is longer, and no pause holds what is under way longer: it goes on by one piece. */
const REST_MS_MAX = 30_000;

export function dutyOf(paceRatio: number, laneCount: number): number {
  if (paceRatio >= 1) return 0;
  if (paceRatio <= 0) return DUTY_PAUSED;
  return Math.max(1, Math.round((paceRatio * DUTY_WHOLE) / laneCount));
}

/** @returns how long a thread rests after it worked for `workMs`. */
export function restAfterMs(workMs: number, duty: number): number {
  if (duty === 0) return 0;
  if (duty === DUTY_PAUSED) return REST_MS_MAX;
  return Math.min(REST_MS_MAX, workMs * (DUTY_WHOLE / duty - 1));
}

/** What is shown of the governor of a run. */
export interface GovernorStatus
  extends Pick<
    Governing,
    'state' | 'cause' | 'paceRatio' | 'foregroundPerSec' | 'latencyMs' | 'busyRatio' | 'stallRatio'
  > {
  readonly runId: number;
  readonly kind: RunKind;
  readonly bounds: GovernorBounds;
  readonly sinceMs: number;
  /** When this was written: once a second while a run is at work. */
  readonly atMs: number;
}

/** What is older was written by an agent that is gone. */
const STATUS_MS_MAX = 5_000;

export function isCurrent(status: GovernorStatus, nowMs: number): boolean {
  return Math.abs(nowMs - status.atMs) <= STATUS_MS_MAX;
}
