/**
 * How hot an extent is: accesses, exponentially decayed with a half-life of one day.
 *
 * Stored in forward-decay form: score = t / halfLife + log2(heat at t). Decay moves all scores
 * alike, so their order never changes while nobody reads, and "hottest first" is an index scan
 * instead of an update of every row (Cormode et al., "Forward decay", ICDE 2009).
 */

export const HEAT_HALF_LIFE_MS = 24 * 60 * 60 * 1000;

export const TIERS = ['hot', 'warm', 'cold'] as const;
export type Tier = (typeof TIERS)[number];

/** Decayed accesses from which an extent counts as hot, and below which as cold. */
const HOT_HEAT_MIN = 4;
const WARM_HEAT_MIN = 0.5;

/** @param score null for an extent that was never accessed. */
export function heatAt(score: number | null, nowMs: number): number {
  return score === null ? 0 : 2 ** (score - nowMs / HEAT_HALF_LIFE_MS);
}

/** @returns the score after one more access (or `weight` of them) at `nowMs`. */
export function touched(score: number | null, nowMs: number, weight = 1): number {
  return nowMs / HEAT_HALF_LIFE_MS + Math.log2(heatAt(score, nowMs) + weight);
}

export function heatTier(score: number | null, nowMs: number): Tier {
  const heat = heatAt(score, nowMs);
  if (heat >= HOT_HEAT_MIN) return 'hot';
  return heat >= WARM_HEAT_MIN ? 'warm' : 'cold';
}
