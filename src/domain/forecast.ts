/**
 * When a figure that grows will pass a threshold. Pure.
 *
 * The slope is the weighted median of the slopes between all pairs of points (Theil-Sen), so that a
 * few odd days change nothing. What a reclamation or a deletion took away at once is no growth, and
 * no shrinking either: pairs with such a step between them do not count, and the line goes on from
 * where the figure is now.
 */

import type { Policy } from './policy.js';
import { DAY_MS, filledRatio, type TrendPoint } from './trends.js';

export interface TimedValue {
  readonly atMs: number;
  readonly value: number;
}

export type Forecast =
  /** It is there already. */
  | { readonly kind: 'passed' }
  /** At the growth of the last weeks. */
  | { readonly kind: 'passes'; readonly atMs: number; readonly perDay: number }
  /** It does not grow, or not clearly, or so slowly that nobody can tell. */
  | { readonly kind: 'not-foreseen'; readonly perDay: number }
  | { readonly kind: 'too-little-data'; readonly days: number; readonly neededDays: number };

/** Newer than that counts. */
export const FORECAST_FROM_MS = 60 * DAY_MS;
/** Points must span this long, without steps between them. */
const NEEDED_DAYS = 3;
const POINTS_MIN = 4;
/** Farther away nothing is foretold, and never farther than is known. */
const HORIZON_MS = 2 * 365 * DAY_MS;
const HORIZON_PER_KNOWN = 10;
/** A fall by less is part of the daily up and down, whatever the other days were like. */
const STEP_MIN = 0.01;
/** So many deviations away a fall is none of the usual ones. */
const STEP_DEVIATIONS = 6;
/** More falls than that are how the figure behaves, and no steps. */
const STEPS_SHARE_MAX = 1 / 3;
/** Turns a median absolute deviation into a standard deviation. */
const DEVIATION_PER_MEDIAN = 1.4826;
/** Growth is clear when all but so many of the slopes agree that there is some. */
const UNCLEAR_SHARE = 1 / 4;

/** The thresholds of a policy that a pool as a whole may pass. */
export type Foreseen = 'capacity' | 'fragmentation';

/** One of them: how the pool stands, and how it will. */
export interface ThresholdForecast {
  readonly threshold: number;
  /** Null where it is not known. */
  readonly measured: number | null;
  readonly forecast: Forecast;
}

/** @param days in the order of time. */
export function forecastThresholds(
  days: readonly TrendPoint[],
  policy: Pick<Policy, 'capacityThresholdRatio' | 'fragmentationThresholdRatio'>,
  nowMs: number,
): Record<Foreseen, ThresholdForecast> {
  const of = (threshold: number, points: readonly TimedValue[]): ThresholdForecast => ({
    threshold,
    measured: points.at(-1)?.value ?? null,
    forecast: forecastCrossing(points, threshold, nowMs),
  });
  return {
    capacity: of(policy.capacityThresholdRatio, filledPoints(days, nowMs)),
    fragmentation: of(policy.fragmentationThresholdRatio, measuredRatios(days)),
  };
}

function filledPoints(days: readonly TrendPoint[], nowMs: number): TimedValue[] {
  return days.flatMap(({ startMs, figures }) => {
    const value = figures && filledRatio(figures);
    // What is kept of a day is how it ended.
    return value === null ? [] : [{ atMs: Math.min(startMs + DAY_MS, nowMs), value }];
  });
}

/** One point of each analysis, at its own time: days that only repeat it say nothing new. */
function measuredRatios(days: readonly TrendPoint[]): TimedValue[] {
  const byTime = new Map<number, number>();
  for (const { figures } of days) {
    if (figures === null || figures.fragmentationRatio === null) continue;
    if (figures.analyzedAtMs !== null) byTime.set(figures.analyzedAtMs, figures.fragmentationRatio);
  }
  const points = [...byTime].map(([atMs, value]) => ({ atMs, value }));
  return points.sort((a, b) => a.atMs - b.atMs);
}

/**
 * @param points in the order of time, about one a day, of a ratio (0–1).
 * @param threshold of the same ratio.
 */
export function forecastCrossing(
  points: readonly TimedValue[],
  threshold: number,
  nowMs: number,
): Forecast {
  const recent = points.filter(({ atMs }) => atMs <= nowMs && nowMs - atMs <= FORECAST_FROM_MS);
  const last = recent.at(-1);
  if (last && last.value >= threshold) return { kind: 'passed' };
  const segments = segmentsOf(recent);
  const spanMs = segments.reduce((sum, segment) => sum + spanOf(segment), 0);
  const days = spanMs / DAY_MS;
  if (!last || recent.length < POINTS_MIN || days < NEEDED_DAYS) {
    return { kind: 'too-little-data', days, neededDays: NEEDED_DAYS };
  }
  const slopes = segments.flatMap(slopesOf).sort((a, b) => a.perMs - b.perMs);
  const perMs = quantile(slopes, 1 / 2);
  const perDay = perMs * DAY_MS;
  if (perMs <= 0 || quantile(slopes, UNCLEAR_SHARE) <= 0) return { kind: 'not-foreseen', perDay };
  const afterMs = (threshold - levelOf(segments.at(-1) ?? [last], perMs, last.atMs)) / perMs;
  const horizonMs = Math.min(HORIZON_MS, spanMs * HORIZON_PER_KNOWN);
  if (afterMs > horizonMs) return { kind: 'not-foreseen', perDay };
  return { kind: 'passes', atMs: Math.max(nowMs, last.atMs + afterMs), perDay };
}

/** Runs of points between which nothing was taken away at once. */
function segmentsOf(points: readonly TimedValue[]): TimedValue[][] {
  const changes = points.slice(1).map(({ value }, n) => value - (points[n]?.value ?? value));
  const usual = median(changes);
  const deviation = median(changes.map((change) => Math.abs(change - usual)));
  const stepMin = Math.max(STEP_MIN, STEP_DEVIATIONS * DEVIATION_PER_MEDIAN * deviation);
  const isStep = (change: number) => change < 0 && usual - change > stepMin;
  const stepsMax = changes.length * STEPS_SHARE_MAX;
  if (changes.filter(isStep).length > stepsMax) return [[...points]];
  const segments: TimedValue[][] = [];
  for (const [index, point] of points.entries()) {
    const current = segments.at(-1);
    if (!current || isStep(changes[index - 1] ?? 0)) segments.push([point]);
    else current.push(point);
  }
  return segments;
}

interface Slope {
  readonly perMs: number;
  /** The longer between two points, the less do their own errors count. */
  readonly weightMs: number;
}

function slopesOf(segment: readonly TimedValue[]): Slope[] {
  const slopes: Slope[] = [];
  for (const [index, from] of segment.entries()) {
    for (const to of segment.slice(index + 1)) {
      const weightMs = to.atMs - from.atMs;
      if (weightMs > 0) slopes.push({ perMs: (to.value - from.value) / weightMs, weightMs });
    }
  }
  return slopes;
}

/** Where the line through the segment is at `atMs`: one odd value at the end moves it little. */
function levelOf(segment: readonly TimedValue[], perMs: number, atMs: number): number {
  return median(segment.map((point) => point.value + (atMs - point.atMs) * perMs));
}

function spanOf(segment: readonly TimedValue[]): number {
  return (segment.at(-1)?.atMs ?? 0) - (segment[0]?.atMs ?? 0);
}

/** @param sorted by `perMs`. */
function quantile(sorted: readonly Slope[], share: number): number {
  const wantedMs = sorted.reduce((sum, { weightMs }) => sum + weightMs, 0) * share;
  let reachedMs = 0;
  for (const { perMs, weightMs } of sorted) {
    reachedMs += weightMs;
    if (reachedMs >= wantedMs) return perMs;
  }
  return 0;
}

/** @returns 0 of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}
