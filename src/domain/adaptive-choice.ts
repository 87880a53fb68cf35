/** What adaptive mode makes of the facts of now; see src/domain/adaptive.ts. Pure. */

import { type AdaptiveChoice, chooseHour } from './adaptive.js';
import { INTENSITIES, type Intensity } from './defrag-plan.js';
import { TIERS } from './heat.js';
import type { Policy } from './policy.js';
import type { TriggerFacts } from './trigger-facts.js';
import { lastWhole } from './trigger-waits.js';

const HOUR_MS = 60 * 60 * 1000;

/** @returns null where the policy is not adaptive. */
export function adaptiveChoice(policy: Policy, facts: TriggerFacts): AdaptiveChoice | null {
  const { adaptive, nowMs, createdAtMs, fragmentation } = facts;
  if (!policy.adaptive || !adaptive) return null;
  const dueAtMs = (lastWhole(facts)?.startedAtMs ?? createdAtMs) + policy.scheduleIntervalMs;
  return chooseHour(adaptive.week, {
    hourOfWeek: adaptive.hourOfWeek,
    fragmentationRatio: fragmentation.pool?.ratio ?? 0,
    thresholdRatio: policy.fragmentationThresholdRatio,
    hoursToSchedule: Math.max(0, (dueAtMs - nowMs) / HOUR_MS),
    intensity: mostOf(policy),
    allowedHours: adaptive.allowedHours,
  });
}

/** The most that any tier may: a quiet hour holds none of them back. */
function mostOf({ defrag, tiers }: Policy): Intensity {
  const ranks = [defrag, ...TIERS.map((tier) => tiers[tier].defrag)].map(({ intensity }) =>
    INTENSITIES.indexOf(intensity),
  );
  return INTENSITIES[Math.max(...ranks)] ?? defrag.intensity;
}
