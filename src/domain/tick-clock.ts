/**
 * What is remembered of the clock from tick to tick, so that one that was set back loses no trigger. Pure.
 *
 * Without this, whatever was begun while the clock was a year ahead would hold the schedule for a
 * year. A clock that goes forward cannot be told from an agent that was away: its time counts.
 */

import type { Reclamation } from './reclamation.js';

/** The clock was set back. */
export interface SetBack {
  readonly byMs: number;
  /** The newest reclamation that was begun before it, and whether it ended before it, too. */
  readonly throughReclamationId: number;
  readonly wasOpen: boolean;
  /** When the last trim before it ended, by the clock of then. */
  readonly throughTrimAtMs: number;
}

export interface TickClock {
  readonly lastTickAtMs: number;
  /** The oldest first. */
  readonly setBacks: readonly SetBack[];
}

/** Older ones are forgotten: so are the reclamations before them. */
const SET_BACKS_MAX = 16;

export interface TickState {
  readonly newest: Pick<Reclamation, 'reclamationId' | 'endedAtMs'> | null;
  readonly trimmedAtMs: number;
}

/** @returns what is to be remembered after a tick at `nowMs`. */
export function ticked(before: TickClock | null, nowMs: number, state: TickState): TickClock {
  if (before === null) return { lastTickAtMs: nowMs, setBacks: [] };
  const byMs = before.lastTickAtMs - nowMs;
  if (byMs <= 0) return { ...before, lastTickAtMs: nowMs };
  const setBack: SetBack = {
    byMs,
    throughReclamationId: state.newest?.reclamationId ?? 0,
    wasOpen: state.newest !== null && state.newest.endedAtMs === null,
    throughTrimAtMs: state.trimmedAtMs,
  };
  const setBacks = [...before.setBacks, setBack].slice(-SET_BACKS_MAX);
  return { lastTickAtMs: nowMs, setBacks };
}

/** @returns the reclamation with its times as the clock of now would have shown them. */
export function asOfNow<T extends Pick<Reclamation, 'reclamationId' | 'startedAtMs' | 'endedAtMs'>>(
  { setBacks }: TickClock,
  reclamation: T,
): T {
  const { reclamationId } = reclamation;
  let { startedAtMs, endedAtMs } = reclamation;
  for (const { throughReclamationId, wasOpen, byMs } of setBacks) {
    if (reclamationId > throughReclamationId) continue;
    startedAtMs -= byMs;
    const endedLater = wasOpen && reclamationId === throughReclamationId;
    if (endedAtMs !== null && !endedLater) endedAtMs -= byMs;
  }
  return { ...reclamation, startedAtMs, endedAtMs };
}

/** As `asOfNow`, of the end of the last trim, as it was noted then. */
export function trimAsOfNow({ setBacks }: TickClock, atMs: number, nowMs: number): number {
  // By its very time: trims that ended after a set-back may have lesser ones than those before.
  const isBefore = (one: SetBack) => one.throughTrimAtMs === atMs;
  const asOf = setBacks.filter(isBefore).reduce((at, { byMs }) => at - byMs, atMs);
  return Math.min(asOf, nowMs);
}

/** As `asOfNow`, of when the pool was made: before all that is remembered. */
export function beginAsOfNow({ setBacks }: TickClock, atMs: number, nowMs: number): number {
  const asOf = setBacks.reduce((at, { byMs }) => at - byMs, atMs);
  return Math.min(asOf, nowMs);
}
