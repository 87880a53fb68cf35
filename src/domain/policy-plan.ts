/** What a whole reclamation would do to each tier, for `policy explain`. Pure. */

import type { Intensity } from './defrag-plan.js';
import { TIERS, type Tier } from './heat.js';
import type { Policy } from './policy.js';
import { planSteps, whyLeaveTier } from './reclamation-plan.js';
import type { TriggerFacts } from './trigger-facts.js';
import type { TrimIntensity } from './trim-schedule.js';
import { formatBytes } from './units.js';

export interface TierForecast {
  readonly tier: Tier;
  readonly defrag: {
    readonly moves: boolean;
    readonly intensity: Intensity;
    readonly threadCount: number;
    readonly minFragments: number;
    /** For people. */
    readonly reason: string;
  };
  readonly trim: {
    readonly trims: boolean;
    readonly intensity: TrimIntensity;
    /** Null where it is not known by tier. */
    readonly pendingBytes: number | null;
    /** For people. */
    readonly reason: string;
  };
}

/** By what is known now; a run analyses again before it moves anything. */
export function forecastTiers(policy: Policy, facts: TriggerFacts): TierForecast[] {
  const steps = planSteps(policy, 'schedule');
  return TIERS.map((tier) => {
    const { defrag, trim } = policy.tiers[tier];
    const step = steps.find((one) => one.what === 'defrag' && one.tier === tier);
    const fact = facts.fragmentation[tier] ?? null;
    const known = fact && {
      tier,
      extentCount: fact.count,
      fragmentedExtentCount: Math.round(fact.ratio * fact.count),
      fragmentationRatio: fact.ratio,
    };
    const leave =
      step?.what === 'defrag' ? whyLeaveTier(step, known && [known]) : 'defragmentation is off';
    const nothing = fact === null && facts.fragmentation.pool ? 'nothing is on this tier' : null;
    const figures = known
      ? `${known.fragmentedExtentCount} of ${known.extentCount} fragmented`
      : 'how much is fragmented is not known before an analysis';
    const pendingBytes = facts.freed[tier]?.pendingBytes ?? null;
    return {
      tier,
      defrag: {
        moves: leave === null && nothing === null,
        intensity: defrag.intensity,
        threadCount: defrag.threadCount,
        minFragments: defrag.minFragments,
        reason: leave ?? nothing ?? figures,
      },
      trim: {
        trims: trim.enabled,
        intensity: trim.intensity,
        pendingBytes,
        reason: !trim.enabled
          ? 'trim is off'
          : pendingBytes !== null
            ? `${formatBytes(pendingBytes)} wait for it`
            : 'pool' in facts.freed
              ? 'how much can be given back is known by a look at all free space only'
              : 'no disk is of this tier',
      },
    };
  });
}
