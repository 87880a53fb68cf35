/** When pending space is worth a trim. Pure: the caller brings the clock. */

import { GIB, MIB } from './units.js';

export const TRIM_INTENSITIES = ['conservative', 'balanced', 'aggressive'] as const;
export type TrimIntensity = (typeof TRIM_INTENSITIES)[number];

interface TrimSchedule {
  readonly pendingBytesMin: number;
  readonly intervalMs: number;
}

const HOUR_MS = 60 * 60 * 1000;

export const TRIM_SCHEDULES: Readonly<Record<TrimIntensity, TrimSchedule>> = {
  conservative: { pendingBytesMin: 10 * GIB, intervalMs: 7 * 24 * HOUR_MS },
  balanced: { pendingBytesMin: GIB, intervalMs: 24 * HOUR_MS },
  aggressive: { pendingBytesMin: 10 * MIB, intervalMs: HOUR_MS },
};

export const TRIM_BATCH_BYTES_MIN = 50 * MIB;
export const TRIM_BATCH_BYTES_MAX = 500 * MIB;
export const TRIM_BATCH_BYTES_DEFAULT = 100 * MIB;

/** A range whose discard failed is not tried again before this, doubled by each failure. */
const DISCARD_RETRY_MS = 60_000;
const DISCARD_RETRY_MS_MAX = 24 * HOUR_MS;

export function discardRetryDelayMs(failureCount: number): number {
  return Math.min(DISCARD_RETRY_MS * 2 ** Math.max(0, failureCount - 1), DISCARD_RETRY_MS_MAX);
}

export type TrimDue = 'threshold' | 'schedule' | null;

/**
 * @param lastTrimAtMs when the last run ended, or when the pool was made if none did.
 * @returns why a trim is due now, or null.
 */
export function trimDue(
  intensity: TrimIntensity,
  pendingBytes: number,
  lastTrimAtMs: number,
  nowMs: number,
): TrimDue {
  const schedule = TRIM_SCHEDULES[intensity];
  if (pendingBytes === 0) return null;
  if (pendingBytes >= schedule.pendingBytesMin) return 'threshold';
  return nowMs - lastTrimAtMs >= schedule.intervalMs ? 'schedule' : null;
}
