/** Which steps a reclamation has, what its runs came to, and whether it helped. Pure. */

import { INTENSITIES, type Intensity } from './defrag-plan.js';
import type { FragmentationFigures } from './fragmentation.js';
import { TIERS, type Tier } from './heat.js';
import type { Policy } from './policy.js';
import {
  NO_OUTCOME,
  type PoolStanding,
  type Reclamation,
  type ReclamationOutcome,
  type ReclamationStep,
  type ReclamationTrigger,
  type StepPlan,
  type TierDefrag,
} from './reclamation.js';
import type { Run } from './runs.js';

/** What is known of each tier since the last analysis. */
export interface TierRatio extends FragmentationFigures {
  readonly tier: string;
}

/**
 * @returns the steps in their order. Freed space needs a trim only; all else is measured before and
 *   after, hot tier first.
 */
export function planSteps(
  policy: Policy,
  trigger: ReclamationTrigger,
  intensityMax: Intensity | null = null,
): StepPlan[] {
  const trims = policy.trim.enabled || TIERS.some((tier) => policy.tiers[tier].trim.enabled);
  const trim: StepPlan[] = trims ? [{ what: 'trim' }] : [];
  if (trigger === 'freed') return trim;
  const defrag = TIERS.filter((tier) => policy.tiers[tier].defrag.enabled).map((tier) => ({
    what: 'defrag' as const,
    ...tierDefrag(policy, tier, intensityMax),
  }));
  return [{ what: 'analyze' }, ...defrag, ...trim, { what: 'analyze' }];
}

function tierDefrag(
  { tiers, sloMs }: Policy,
  tier: Tier,
  intensityMax: Intensity | null,
): TierDefrag {
  const { defrag } = tiers[tier];
  const rank = (intensity: Intensity) => INTENSITIES.indexOf(intensity);
  const isLess = intensityMax !== null && rank(intensityMax) < rank(defrag.intensity);
  return {
    tier,
    intensity: isLess ? intensityMax : defrag.intensity,
    threadCount: defrag.threadCount,
    minFragments: defrag.minFragments,
    hotFirst: defrag.hotFirst,
    pauseOnHighLoad: defrag.pauseOnHighLoad,
    sloMs,
    thresholdRatio: defrag.fragmentationThresholdRatio,
  };
}

/** @returns why a tier is left alone, with the figures; null when it is to be defragmented. */
export function whyLeaveTier(
  { tier, thresholdRatio }: TierDefrag,
  ratios: readonly TierRatio[] | null,
): string | null {
  if (ratios === null) return null;
  const known = ratios.find((one) => one.tier === tier);
  if (!known || known.extentCount === 0) return 'it holds nothing';
  if (known.fragmentedExtentCount === 0) return 'nothing is fragmented';
  if (known.fragmentationRatio > thresholdRatio) return null;
  return `${percent(known.fragmentationRatio)} fragmented, not more than ${percent(thresholdRatio)}`;
}

/** What the runs of the steps did, all together. */
export function outcomeOf(runs: readonly Run[]): ReclamationOutcome {
  return runs.reduce((sum, { kind, progress }) => {
    const isTrim = kind === 'trim';
    return {
      defragmentedCount: sum.defragmentedCount + (isTrim ? 0 : progress.doneCount),
      rewrittenBytes: sum.rewrittenBytes + (isTrim ? 0 : progress.doneBytes),
      reclaimedBytes: sum.reclaimedBytes + (isTrim ? progress.reclaimedBytes : 0),
      skippedCount: sum.skippedCount + progress.skippedCount,
      failedCount: sum.failedCount + progress.failedCount,
      unsupportedCount: sum.unsupportedCount + progress.unsupportedCount,
      busyMs: sum.busyMs + progress.busyMs,
    };
  }, NO_OUTCOME);
}

/** Less than this is no help: the trigger would fire again at once. */
const HELPED_RATIO_PART = 0.9;
const HELPED_USED_RATIO = 0.005;

/** @returns null where a figure that it takes is not known, or nothing was to be done. */
export function hasHelped(
  { trigger }: Pick<Reclamation, 'trigger'>,
  before: PoolStanding,
  after: PoolStanding,
  outcome: ReclamationOutcome,
): boolean | null {
  switch (trigger) {
    case 'fragmentation':
      if (before.fragmentationRatio === null || after.fragmentationRatio === null) return null;
      return after.fragmentationRatio < before.fragmentationRatio * HELPED_RATIO_PART;
    case 'capacity':
      return usedRatio(before) - usedRatio(after) >= HELPED_USED_RATIO;
    case 'freed':
      return outcome.reclaimedBytes > 0 || after.pendingBytes < before.pendingBytes;
    case 'schedule':
    case 'manual':
      return outcome.defragmentedCount > 0 || outcome.reclaimedBytes > 0 || null;
  }
}

function usedRatio({ usedBytes, pendingBytes, capacityBytes }: PoolStanding): number {
  return capacityBytes === 0 ? 0 : (usedBytes + pendingBytes) / capacityBytes;
}

/** The first that is not over; null when all are. */
export function currentStep(steps: readonly ReclamationStep[]): ReclamationStep | null {
  return steps.find(({ state }) => state === 'waiting' || state === 'running') ?? null;
}

function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(1)} %`;
}
