/** Each trigger by itself: what it measures, and what that is compared with. Pure. */

import type { AdaptiveChoice } from './adaptive.js';
import { formatDuration } from './durations.js';
import { TIERS } from './heat.js';
import type { Policy, TierPolicy } from './policy.js';
import type { Scope, TriggerFacts } from './trigger-facts.js';
import { timeText } from './trigger-holds.js';
import { cutReclamation, lastWhole } from './trigger-waits.js';
import type { TriggerVerdict } from './triggers.js';
import { TRIM_SCHEDULES, trimDue } from './trim-schedule.js';
import { formatBytes } from './units.js';

/** Adaptive mode begins early, but not again right after the last one. */
const ADAPTIVE_PART_MIN = 0.25;

type Verdict = Omit<TriggerVerdict, 'heldUntilMs'>;

const verdict = (parts: Verdict): TriggerVerdict => ({ ...parts, heldUntilMs: null });

/** @returns null where the scope has no space of its own. */
export function capacity(
  policy: Policy,
  { space }: TriggerFacts,
  scope: Scope,
): TriggerVerdict | null {
  const fact = space[scope];
  if (fact === undefined) return null;
  const threshold = partOf(policy, scope).capacityThresholdRatio;
  const base = { trigger: 'capacity', scope, threshold } as const;
  if (fact === null || fact.capacityBytes === 0) {
    const reason = 'how much is used is not known';
    return verdict({ ...base, state: 'unknown', measured: null, reason });
  }
  const measured = fact.usedBytes / fact.capacityBytes;
  const sizes = `${formatBytes(fact.usedBytes)} of ${formatBytes(fact.capacityBytes)}`;
  return verdict({
    ...base,
    state: measured > threshold ? 'fires' : 'below',
    measured,
    reason: `${percent(measured)} used or pending (${sizes}), begins above ${percent(threshold)}`,
  });
}

/** @returns null where the scope has no figures of its own. */
export function fragmentation(
  policy: Policy,
  facts: TriggerFacts,
  scope: Scope,
): TriggerVerdict | null {
  const fact = facts.fragmentation[scope];
  if (fact === undefined) return null;
  const threshold = partOf(policy, scope).fragmentationThresholdRatio;
  const base = { trigger: 'fragmentation', scope, threshold } as const;
  const measured = fact?.ratio ?? null;
  if (!isDefragmented(policy, scope)) {
    const reason = 'defragmentation is off';
    return verdict({ ...base, state: 'off', measured, reason });
  }
  if (!fact) {
    const reason = 'no analysis since the last defragmentation';
    return verdict({ ...base, state: 'unknown', measured, reason });
  }
  const compared = `${percent(fact.ratio)} of ${fact.count} fragmented, begins above ${percent(threshold)}`;
  if (fact.ratio <= threshold) {
    return verdict({ ...base, state: 'below', measured, reason: compared });
  }
  if (!wouldMove(policy, facts, scope)) {
    const reason = `${compared}, but no tier that is defragmented is above its own threshold`;
    return verdict({ ...base, state: 'held', measured, reason });
  }
  return verdict({ ...base, state: 'fires', measured, reason: compared });
}

/** Measures since when: the last whole reclamation began, or the pool was made. */
export function schedule(
  policy: Policy,
  facts: TriggerFacts,
  adaptive: AdaptiveChoice | null,
): TriggerVerdict {
  const { nowMs, createdAtMs } = facts;
  const last = lastWhole(facts);
  const measured = Math.max(0, nowMs - (last?.startedAtMs ?? createdAtMs));
  const threshold = policy.scheduleIntervalMs;
  const base = { trigger: 'schedule', scope: 'pool', measured, threshold } as const;
  const since = last ? 'the last one began' : 'the pool was made';
  const compared = `${since} ${formatDuration(measured)} ago, begins every ${formatDuration(threshold)}`;
  if (measured >= threshold) return verdict({ ...base, state: 'fires', reason: compared });
  const cut = cutReclamation(facts, ['time-budget', 'window-closed', 'wear-budget']);
  if (cut) {
    const reason = `reclamation ${cut.reclamationId} was ended by ${cut.endCause} and goes on; ${compared}`;
    return verdict({ ...base, state: 'fires', reason });
  }
  if (adaptive?.begin && measured >= threshold * ADAPTIVE_PART_MIN) {
    const reason = `adaptive: ${adaptive.reason}; ${compared}`;
    return verdict({ ...base, state: 'fires', reason });
  }
  return verdict({ ...base, state: 'below', reason: compared });
}

/** @returns null where the scope is not trimmed by itself. */
export function freed(policy: Policy, facts: TriggerFacts, scope: Scope): TriggerVerdict | null {
  const fact = facts.freed[scope];
  if (!fact) return null;
  const { enabled, intensity } = partOf(policy, scope).trim;
  const { pendingBytesMin, intervalMs } = TRIM_SCHEDULES[intensity];
  const { pendingBytes, trimmedAtMs } = fact;
  const elapsedMs = Math.max(0, facts.nowMs - trimmedAtMs);
  const time = `the last trim was ${formatDuration(elapsedMs)} ago (${timeText(trimmedAtMs)}), begins after ${formatDuration(intervalMs)}`;
  const base = { trigger: 'freed', scope } as const;
  if (pendingBytes === null) {
    const state = !enabled ? 'off' : elapsedMs >= intervalMs ? 'fires' : 'below';
    const reason = enabled ? time : 'trim is off';
    return verdict({ ...base, state, measured: elapsedMs, threshold: intervalMs, reason });
  }
  const due = trimDue(intensity, pendingBytes, trimmedAtMs, facts.nowMs);
  const sizes = `${formatBytes(pendingBytes)} pending, begins from ${formatBytes(pendingBytesMin)}`;
  return verdict({
    ...base,
    state: !enabled ? 'off' : due ? 'fires' : 'below',
    measured: pendingBytes,
    threshold: pendingBytesMin,
    reason: enabled ? `${sizes}; ${time}` : 'trim is off',
  });
}

function partOf(policy: Policy, scope: Scope): TierPolicy {
  return scope === 'pool' ? policy : policy.tiers[scope];
}

function isDefragmented({ tiers }: Policy, scope: Scope): boolean {
  const scopes = scope === 'pool' ? TIERS : [scope];
  return scopes.some((tier) => tiers[tier].defrag.enabled);
}

/** Whether a run would move anything: it leaves a tier alone that is not above what its defrag says. */
function wouldMove({ tiers }: Policy, { fragmentation: by }: TriggerFacts, scope: Scope): boolean {
  const scopes = scope === 'pool' ? TIERS : [scope];
  return scopes.some((tier) => {
    const { enabled, fragmentationThresholdRatio } = tiers[tier].defrag;
    const fact = by[tier];
    return enabled && (!fact || fact.ratio > fragmentationThresholdRatio);
  });
}

function percent(ratio: number): string {
  return `${Number((ratio * 100).toFixed(1))} %`;
}
