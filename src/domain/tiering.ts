/**
 * Which tier an extent belongs to by its heat. Pure.
 *
 * Two thresholds for each border, the one for going up twice to four times that for going down, so that
 * an extent whose heat lies between them stays where it is: heat halves in a day, and a move back and
 * forth would cost two writes for nothing.
 */

import { HEAT_HALF_LIFE_MS, heatAt, TIERS, type Tier } from './heat.js';

/** Decayed accesses from which an extent goes up to a tier. */
const UP_HEAT_MIN = { hot: 4, warm: 1 } as const;
/** Decayed accesses below which it leaves a tier. */
const DOWN_HEAT_MAX = { hot: 2, warm: 0.25 } as const;

/** @returns the tier that it should have, if every tier had disks. */
export function tierByHeat(score: number | null, current: Tier, nowMs: number): Tier {
  const heat = heatAt(score, nowMs);
  if (heat >= UP_HEAT_MIN.hot) return 'hot';
  if (current === 'hot' && heat >= DOWN_HEAT_MAX.hot) return 'hot';
  if (current === 'cold') return heat >= UP_HEAT_MIN.warm ? 'warm' : 'cold';
  return heat < DOWN_HEAT_MAX.warm ? 'cold' : 'warm';
}

/** @param present tiers that disks have. @returns the nearest one that there is, the hotter first. */
export function nearestTier(wanted: Tier, present: ReadonlySet<Tier>): Tier {
  if (present.has(wanted)) return wanted;
  const at = TIERS.indexOf(wanted);
  const byDistance = [...TIERS].sort(
    (a, b) => Math.abs(TIERS.indexOf(a) - at) - Math.abs(TIERS.indexOf(b) - at),
  );
  return byDistance.find((tier) => present.has(tier)) ?? wanted;
}

/** The score (see heat.ts) of an extent that has this heat now. */
function scoreOfHeat(heat: number, nowMs: number): number {
  return nowMs / HEAT_HALF_LIFE_MS + Math.log2(heat);
}

/** The borders as scores, for a query over all extents. */
export function tierScores(nowMs: number) {
  return {
    upHot: scoreOfHeat(UP_HEAT_MIN.hot, nowMs),
    downHot: scoreOfHeat(DOWN_HEAT_MAX.hot, nowMs),
    upWarm: scoreOfHeat(UP_HEAT_MIN.warm, nowMs),
    downWarm: scoreOfHeat(DOWN_HEAT_MAX.warm, nowMs),
  } as const;
}

/** Between two looks at which extents belong elsewhere. */
export const TIERING_EVERY_MS = 10 * 60_000;
