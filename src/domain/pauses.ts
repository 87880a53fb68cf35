/**
 * Pauses by a person: who, why, and for how long. Pure.
 *
 * How long is counted by the time since the machine booted, which nobody can set; only over a reboot
 * is there nothing else than the clock on the wall.
 */

/** Which boot it is, and how long ago that was, suspended time included. */
export interface BootTime {
  readonly bootId: string;
  readonly sinceBootMs: number;
}

export interface Moment {
  /** Epoch milliseconds. */
  readonly nowMs: number;
  /** Null where the machine does not tell. */
  readonly boot: BootTime | null;
}

/** What is left of a pause, as of a moment. */
export interface PauseHold {
  readonly remainingMs: number;
  readonly asOf: Moment;
}

export interface Pause {
  readonly actor: string;
  readonly reason: string | null;
  readonly pausedAtMs: number;
  /** Null: until somebody resumes it. */
  readonly hold: PauseHold | null;
}

/** What is paused. */
export interface PauseSubject {
  readonly kind: 'run' | 'reclamation';
  readonly id: number;
}

/** What somebody asks for who pauses something. */
export interface PauseRequest {
  readonly reason: string | null;
  readonly forMs: number | null;
}

export const PLAIN_PAUSE: PauseRequest = { reason: null, forMs: null };

/** @returns 0 and below when it is over. */
export function remainingMs({ remainingMs, asOf }: PauseHold, now: Moment): number {
  return remainingMs - elapsedMs(asOf, now);
}

/** Whether time is counted from another boot than this one: what is left is to be noted anew. */
export function isFromOtherBoot({ asOf }: PauseHold, { boot }: Moment): boolean {
  return boot !== null && (asOf.boot === null || !isSameBoot(asOf.boot, boot));
}

function elapsedMs(then: Moment, now: Moment): number {
  if (then.boot && now.boot && isSameBoot(then.boot, now.boot)) {
    return now.boot.sinceBootMs - then.boot.sinceBootMs;
  }
  // A clock that was set back says nothing: what is left stays, and is counted from here.
  return Math.max(0, now.nowMs - then.nowMs);
}

/** A container may keep the id of the boot and count from its own start. */
function isSameBoot(then: BootTime, now: BootTime): boolean {
  return then.bootId === now.bootId && now.sinceBootMs >= then.sinceBootMs;
}
