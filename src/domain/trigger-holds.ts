/** What keeps triggers from beginning anything, though they would. Pure. */

import type { Policy } from './policy.js';
import type { TriggerFacts } from './trigger-facts.js';
import { cutReclamation } from './trigger-waits.js';
import type { Trigger } from './triggers.js';
import { formatBytes } from './units.js';

export const HOLD_KINDS = [
  'engine-off',
  'quiet-hours',
  'outside-windows',
  'reclamation-open',
  'run-open',
  'time-budget',
  'wear-budget',
  'payback',
] as const;
export type HoldKind = (typeof HOLD_KINDS)[number];

export interface Hold {
  readonly kind: HoldKind;
  readonly triggers: readonly Trigger[];
  /** Null when it is over as soon as something else is. */
  readonly untilMs: number | null;
  /** For people. */
  readonly reason: string;
}

const ALL: readonly Trigger[] = ['capacity', 'fragmentation', 'schedule', 'freed'];
/** What begins a reclamation that may move data. */
const WHOLE: readonly Trigger[] = ['capacity', 'fragmentation', 'schedule'];
/** What is about moving data more than about space. */
const REWRITING: readonly Trigger[] = ['fragmentation', 'schedule'];

const DAY_MS = 24 * 60 * 60 * 1000;

export function holdsOf(policy: Policy, facts: TriggerFacts): Hold[] {
  return [
    engineOff(policy),
    quietHours(facts),
    outsideWindows(policy, facts),
    openReclamation(facts),
    ...openRuns(facts),
    timeBudget(policy, facts),
    wearBudget(policy, facts),
    payback(facts),
  ].flatMap((hold) => hold ?? []);
}

function engineOff({ enabled }: Policy): Hold | null {
  if (enabled) return null;
  return { kind: 'engine-off', triggers: ALL, untilMs: null, reason: 'the policy is off' };
}

function quietHours({ quietUntilMs: untilMs }: TriggerFacts): Hold | null {
  if (untilMs === null) return null;
  const reason = `quiet hours until ${timeText(untilMs)}`;
  return { kind: 'quiet-hours', triggers: ALL, untilMs, reason };
}

function outsideWindows({ windows }: Policy, { windows: state }: TriggerFacts): Hold | null {
  if (windows.length === 0 || state.openUntilMs !== null) return null;
  const untilMs = state.opensAtMs;
  const when = untilMs === null ? 'none opens again' : `the next one opens ${timeText(untilMs)}`;
  const reason = `outside of all windows, ${when}`;
  return { kind: 'outside-windows', triggers: ALL, untilMs, reason };
}

function openReclamation({ recent }: TriggerFacts): Hold | null {
  const open = recent.find(({ endedAtMs }) => endedAtMs === null);
  if (!open) return null;
  const reason = `reclamation ${open.reclamationId} is ${open.state}`;
  return { kind: 'reclamation-open', triggers: ALL, untilMs: null, reason };
}

/** A trim needs nothing but that no other one is at work. */
function openRuns({ openRuns: kinds }: TriggerFacts): Hold[] {
  const hold = (triggers: readonly Trigger[], what: string): Hold => ({
    kind: 'run-open',
    triggers,
    untilMs: null,
    reason: `${what} is open`,
  });
  const names = { defrag: 'a defragmentation', evacuate: 'an evacuation', repair: 'a repair' };
  return [
    ...(['defrag', 'evacuate', 'repair'] as const)
      .filter((kind) => kinds.includes(kind))
      .map((kind) => hold(WHOLE, names[kind])),
    ...(kinds.includes('trim') ? [hold(ALL, 'a trim')] : []),
  ];
}

/** One that its time budget ended goes on in the next window, or where there are none on schedule. */
function timeBudget(policy: Policy, facts: TriggerFacts): Hold | null {
  const cut = cutReclamation(facts, ['time-budget']);
  if (!cut || cut.endedAtMs === null) return null;
  const { windows, scheduleIntervalMs } = policy;
  const { openedAtMs, opensAtMs } = facts.windows;
  if (windows.length > 0 && (openedAtMs === null || openedAtMs > cut.startedAtMs)) return null;
  const untilMs = windows.length > 0 ? opensAtMs : cut.startedAtMs + scheduleIntervalMs;
  if (untilMs !== null && untilMs <= facts.nowMs) return null;
  const when = untilMs === null ? 'no window opens again' : `it goes on ${timeText(untilMs)}`;
  return {
    kind: 'time-budget',
    triggers: WHOLE,
    untilMs,
    reason: `reclamation ${cut.reclamationId} used its time budget, ${when}`,
  };
}

/** Days begin at midnight UTC. One that this budget ended goes on then, though a little may be left. */
function wearBudget({ wearBudgetBytesPerDay: budget }: Policy, facts: TriggerFacts): Hold | null {
  const { wornTodayBytes: worn, nowMs } = facts;
  if (budget === null) return null;
  const dayStartMs = Math.floor(nowMs / DAY_MS) * DAY_MS;
  const cut = cutReclamation(facts, ['wear-budget']);
  const isCutToday = cut !== null && (cut.endedAtMs ?? 0) >= dayStartMs;
  if (!isCutToday && (worn === null || worn < budget)) return null;
  const untilMs = dayStartMs + DAY_MS;
  const rewritten = worn === null ? 'all' : formatBytes(worn);
  const reason = `${rewritten} of the ${formatBytes(budget)} a day that may be rewritten are used`;
  return { kind: 'wear-budget', triggers: REWRITING, untilMs, reason };
}

function payback({ payback: fact, nowMs }: TriggerFacts): Hold | null {
  if (!fact || fact.backsOffUntilMs === null || fact.backsOffUntilMs <= nowMs) return null;
  const { backsOffUntilMs: untilMs, reason } = fact;
  return { kind: 'payback', triggers: REWRITING, untilMs, reason };
}

/** To the minute, UTC. */
export function timeText(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
