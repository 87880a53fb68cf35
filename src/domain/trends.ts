/**
 * How a pool changes over hours and days: its space, its fragmentation, and what was written and
 * given back. Days and hours are of UTC, so that none is longer than another.
 */

export const HOUR_MS = 60 * 60 * 1000;
export const DAY_MS = 24 * HOUR_MS;

/** What one row stands for. */
export type TrendSpan = 'hour' | 'day';

export const TREND_SPAN_MS: Readonly<Record<TrendSpan, number>> = { hour: HOUR_MS, day: DAY_MS };

/** Rows kept: hours of 60 days, days of two years. */
export const TREND_ROWS_MAX: Readonly<Record<TrendSpan, number>> = {
  hour: 60 * 24,
  day: 2 * 366,
};

/** How a pool stands at one moment. */
export interface TrendFigures {
  readonly capacityBytes: number;
  /** Without what is pending. */
  readonly usedBytes: number;
  readonly freeBytes: number;
  /** Waits for a trim; 0 on a mount, which keeps no such list. */
  readonly pendingBytes: number;
  /** Null before the first analysis. */
  readonly fragmentationRatio: number | null;
  /** When the ratio was measured: on a mount an analysis may be old. */
  readonly analyzedAtMs: number | null;
}

/** One hour or day. */
export interface TrendPoint {
  readonly startMs: number;
  /** The last that was seen in it; null when nobody looked. */
  readonly figures: TrendFigures | null;
  /** Written by moving data, within this hour or day. */
  readonly rewrittenBytes: number;
  /** Seen to be given back by trims, within it. */
  readonly reclaimedBytes: number;
}

/** Used or pending, of all: what nobody else can be given. Null of no capacity. */
export function filledRatio({
  capacityBytes,
  usedBytes,
  pendingBytes,
}: TrendFigures): number | null {
  return capacityBytes > 0 ? Math.min(1, (usedBytes + pendingBytes) / capacityBytes) : null;
}
