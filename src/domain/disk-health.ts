/**
 * Whether the copies on a disk count. Pure.
 *
 *   healthy → missing      it cannot be read
 *   missing → healthy      it is back soon
 *   missing → degraded     it stayed away: its extents are copied to other disks
 *   healthy → degraded     errors again and again, though it is there
 *   degraded → returning   it can be read: every copy on it is verified
 *   returning → healthy    all were read; those that verified count again
 *   returning → degraded   it went away again, or errs again
 */

export const HEALTH_STATES = ['healthy', 'missing', 'degraded', 'returning'] as const;
export type HealthState = (typeof HEALTH_STATES)[number];

export interface DiskHealth {
  readonly state: HealthState;
  /** Why it is not healthy. */
  readonly reason: string | null;
  readonly sinceMs: number;
  /** Reads and writes that failed since it was last healthy. */
  readonly errorCount: number;
  /** A disk that errs is not tried again before this. */
  readonly notBeforeMs: number;
}

/** How a disk is found now. */
export interface DiskLook {
  /** Null when it can be read. */
  readonly problem: string | null;
  readonly nowMs: number;
  /** How long a disk may be away before it counts as failed. */
  readonly graceMs: number;
}

/** The reason of a disk that is there and answers no call: whoever asked it would wait for ever. */
export const NO_ANSWER = 'it does not answer';

export const DISK_ERRORS_MAX = 8;
const ERRING_WAIT_MS = 10 * 60_000;

export const NEW_DISK_HEALTH: DiskHealth = {
  state: 'healthy',
  reason: null,
  sinceMs: 0,
  errorCount: 0,
  notBeforeMs: 0,
};

/** Its copies do not count, and it takes no new ones. */
export function isUnfit(state: HealthState): boolean {
  return state === 'degraded' || state === 'returning';
}

/** @returns the same object when nothing changes. */
export function nextHealth(health: DiskHealth, look: DiskLook): DiskHealth {
  return look.problem === null ? whenThere(health, look) : whenAway(health, look, look.problem);
}

function whenAway(health: DiskHealth, { nowMs, graceMs }: DiskLook, reason: string): DiskHealth {
  const { state, sinceMs } = health;
  if (state === 'healthy' && graceMs > 0) {
    return { ...health, state: 'missing', reason, sinceMs: nowMs };
  }
  const stays = state === 'degraded' || (state === 'missing' && nowMs - sinceMs < graceMs);
  return stays ? health : { ...health, state: 'degraded', reason, sinceMs: nowMs };
}

function whenThere(health: DiskHealth, { nowMs }: DiskLook): DiskHealth {
  const { state, errorCount, notBeforeMs } = health;
  if (state === 'missing') return { ...NEW_DISK_HEALTH, errorCount, sinceMs: nowMs };
  if (state === 'degraded') {
    if (nowMs < notBeforeMs) return health;
    return { ...health, state: 'returning', errorCount: 0, sinceMs: nowMs };
  }
  if (errorCount < DISK_ERRORS_MAX) return health;
  const reason = `${errorCount} reads or writes failed`;
  const again = { notBeforeMs: nowMs + ERRING_WAIT_MS, sinceMs: nowMs };
  return { state: 'degraded', reason, errorCount, ...again };
}
