/**
 * How long a trigger waits after what it began. Pure.
 *
 *   it helped, or nobody can say          an hour, so that one run is judged before the next
 *   it did not help, or failed            twice as long each time in a row, at most a week
 *   somebody stopped it                   one interval of the schedule
 *   a budget or a window ended it         no wait of its own: it goes on as soon as it may
 */

import { formatDuration } from './durations.js';
import type { Policy } from './policy.js';
import type { EndCause } from './reclamation.js';
import type { PastReclamation, Scope, TriggerFacts } from './trigger-facts.js';
import type { Trigger } from './triggers.js';

const HOUR_MS = 60 * 60 * 1000;
const WAIT_MS_MIN = HOUR_MS;
/** Trims are cheap, and space is freed all the time. */
const FREED_WAIT_MS_MIN = 10 * 60 * 1000;
const WAIT_MS_MAX = 7 * 24 * HOUR_MS;
/** Doublings beyond this change nothing. */
const DOUBLINGS_MAX = 10;

export interface Wait {
  readonly untilMs: number;
  /** For people. */
  readonly reason: string;
}

/** @returns until when the trigger waits, also when that is over; null when it never began anything. */
export function waitUntilMs(
  trigger: Trigger,
  scope: Scope,
  policy: Policy,
  facts: TriggerFacts,
): Wait | null {
  const own = facts.recent.filter((past) => isOf(past, trigger, scope));
  const last = trigger === 'freed' ? own[0] : lastWhole(facts);
  const baseMs = baseOf(trigger, policy);
  const waits = [
    last && afterAny(last, trigger, policy),
    own[0] && afterUseless(own, own[0], baseMs, trigger),
  ].flatMap((wait) => wait ?? []);
  const [first, ...others] = waits;
  if (!first) return null;
  return others.reduce((a, b) => (b.untilMs > a.untilMs ? b : a), first);
}

/** The last that may have moved data, whichever trigger or person began it; an open one too. */
export function lastWhole({ recent }: TriggerFacts): PastReclamation | undefined {
  return recent.find(({ trigger }) => trigger !== 'freed');
}

/** @returns the last whole reclamation if one of the causes ended it; null else. */
export function cutReclamation(
  facts: TriggerFacts,
  causes: readonly EndCause[],
): PastReclamation | null {
  const last = lastWhole(facts);
  return last?.endCause && causes.includes(last.endCause) ? last : null;
}

/** What was begun for the whole pool was tried on each tier, too. */
function isOf(past: PastReclamation, trigger: Trigger, scope: Scope): boolean {
  return past.trigger === trigger && (past.scope === null || past.scope === scope);
}

function afterAny(last: PastReclamation, trigger: Trigger, policy: Policy): Wait | null {
  const { endedAtMs, endCause, state, startedAtMs, reclamationId } = last;
  if (endedAtMs === null || endCause !== null) return null;
  if (state === 'stopped') {
    const untilMs = startedAtMs + policy.scheduleIntervalMs;
    return { untilMs, reason: `reclamation ${reclamationId} was stopped` };
  }
  // The schedule has its own interval, from when the last one began.
  if (trigger === 'schedule') return null;
  const waitMs = trigger === 'freed' ? FREED_WAIT_MS_MIN : WAIT_MS_MIN;
  const reason = `the last one ended less than ${formatDuration(waitMs)} ago`;
  return { untilMs: endedAtMs + waitMs, reason };
}

function afterUseless(
  own: readonly PastReclamation[],
  last: PastReclamation,
  baseMs: number,
  trigger: Trigger,
): Wait | null {
  const count = uselessCount(own);
  if (count === 0 || last.endedAtMs === null) return null;
  const waitMs = Math.min(
    baseMs * 2 ** Math.min(count - (trigger === 'schedule' ? 0 : 1), DOUBLINGS_MAX),
    Math.max(baseMs, WAIT_MS_MAX),
  );
  const times = count === 1 ? 'the last one did not help' : `the last ${count} did not help`;
  const fromMs = trigger === 'schedule' ? last.startedAtMs : last.endedAtMs;
  return { untilMs: fromMs + waitMs, reason: `${times}, so it waits ${formatDuration(waitMs)}` };
}

/** How many in a row, the newest first, were of no use; what a budget ended is left out. */
function uselessCount(own: readonly PastReclamation[]): number {
  const judged = own.filter(({ endCause, endedAtMs }) => endedAtMs !== null && endCause === null);
  const firstUseful = judged.findIndex((past) => !isUseless(past));
  return firstUseful === -1 ? judged.length : firstUseful;
}

function isUseless({ state, helped }: PastReclamation): boolean {
  return helped === false || (state === 'failed' && helped === null);
}

function baseOf(trigger: Trigger, { scheduleIntervalMs }: Policy): number {
  if (trigger === 'schedule') return scheduleIntervalMs;
  return trigger === 'freed' ? FREED_WAIT_MS_MIN : WAIT_MS_MIN;
}
