/**
 * Whether a policy begins anything now, and why, trigger by trigger. Pure.
 *
 *   capacity, fragmentation, schedule   begin a whole reclamation: analysis, defragmentation, trim
 *   freed                               trims only
 * A figure that is not known never fires anything. docs/policy.md has the rules for people.
 */

import type { AdaptiveChoice } from './adaptive.js';
import { adaptiveChoice } from './adaptive-choice.js';
import type { Intensity } from './defrag-plan.js';
import { TIERS } from './heat.js';
import type { Policy } from './policy.js';
import type { Scope, TriggerFacts } from './trigger-facts.js';
import { type Hold, holdsOf, timeText } from './trigger-holds.js';
import { capacity, fragmentation, freed, schedule } from './trigger-rules.js';
import { waitUntilMs } from './trigger-waits.js';

export const TRIGGERS = ['capacity', 'fragmentation', 'schedule', 'freed'] as const;
export type Trigger = (typeof TRIGGERS)[number];

export const VERDICT_STATES = ['fires', 'below', 'held', 'off', 'unknown'] as const;
export type VerdictState = (typeof VERDICT_STATES)[number];

export interface TriggerVerdict {
  readonly trigger: Trigger;
  readonly scope: Scope;
  /** `held`: it would fire, but waits; see `heldUntilMs` and the holds of the decision. */
  readonly state: VerdictState;
  /** A ratio, milliseconds or bytes, as `threshold` is; null where it is not known. */
  readonly measured: number | null;
  readonly threshold: number | null;
  /** Null when it is not held, or nobody knows until when. */
  readonly heldUntilMs: number | null;
  /** The figures compared, for people. */
  readonly reason: string;
}

export interface Decision {
  readonly verdicts: readonly TriggerVerdict[];
  /** Keys of those that would fire, had nothing else a say. */
  readonly passed: readonly string[];
  /** What begins now; null when nothing does. */
  readonly chosen: TriggerVerdict | null;
  /** What keeps triggers from beginning anything, whether or not one would. */
  readonly holds: readonly Hold[];
  /** No harder than this: what adaptive mode thinks of this hour; null when it does not say. */
  readonly intensityMax: Intensity | null;
  /** Null where the policy is not adaptive. */
  readonly adaptive: AdaptiveChoice | null;
}

/** @returns the same for the same facts; it begins nothing. */
export function decide(policy: Policy, facts: TriggerFacts): Decision {
  const holds = holdsOf(policy, facts);
  const adaptive = adaptiveChoice(policy, facts);
  const scopes: readonly Scope[] = ['pool', ...TIERS];
  const judged = [
    ...scopes.flatMap((scope) => capacity(policy, facts, scope) ?? []),
    ...scopes.flatMap((scope) => fragmentation(policy, facts, scope) ?? []),
    schedule(policy, facts, adaptive),
    ...scopes.flatMap((scope) => freed(policy, facts, scope) ?? []),
  ];
  const passed = judged.filter(({ state }) => state === 'fires').map(verdictKey);
  const verdicts = judged.map((verdict) =>
    held(settling(waiting(verdict, policy, facts), facts), holds),
  );
  const chosen = verdicts.find(({ state }) => state === 'fires') ?? null;
  return { verdicts, passed, chosen, holds, intensityMax: adaptive?.intensity ?? null, adaptive };
}

function verdictKey({ trigger, scope }: Pick<TriggerVerdict, 'trigger' | 'scope'>): string {
  return `${trigger}/${scope}`;
}

/**
 * A threshold is passed for so long before it begins anything: what somebody is putting, deleting or
 * defragmenting by hand may be over in a moment.
 */
const SETTLE_MS = 10 * 60 * 1000;

function settling(verdict: TriggerVerdict, { passedSinceMs, nowMs }: TriggerFacts): TriggerVerdict {
  const { trigger, state } = verdict;
  const isThreshold = trigger === 'capacity' || trigger === 'fragmentation';
  if (state !== 'fires' || !isThreshold) return verdict;
  const sinceMs = Math.min(nowMs, passedSinceMs[verdictKey(verdict)] ?? nowMs);
  const untilMs = sinceMs + SETTLE_MS;
  if (untilMs <= nowMs) return verdict;
  const reason = `${verdict.reason}; begins if it still is so at ${timeText(untilMs)}`;
  return { ...verdict, state: 'held', heldUntilMs: untilMs, reason };
}

/** Hysteresis: a trigger that ran and did not help waits. */
function waiting(verdict: TriggerVerdict, policy: Policy, facts: TriggerFacts): TriggerVerdict {
  if (verdict.state !== 'fires') return verdict;
  const wait = waitUntilMs(verdict.trigger, verdict.scope, policy, facts);
  if (wait === null || wait.untilMs <= facts.nowMs) return verdict;
  return {
    ...verdict,
    state: 'held',
    heldUntilMs: wait.untilMs,
    reason: `${verdict.reason}; ${wait.reason}`,
  };
}

function held(verdict: TriggerVerdict, holds: readonly Hold[]): TriggerVerdict {
  if (verdict.state !== 'fires') return verdict;
  const its = holds.filter(({ triggers }) => triggers.includes(verdict.trigger));
  if (its.length === 0) return verdict;
  const untils = its.map(({ untilMs }) => untilMs);
  return {
    ...verdict,
    state: 'held',
    heldUntilMs: untils.some((one) => one === null)
      ? null
      : Math.max(...untils.map((one) => one ?? 0)),
    reason: `${verdict.reason}; held: ${its.map(({ reason }) => reason).join(', ')}`,
  };
}
