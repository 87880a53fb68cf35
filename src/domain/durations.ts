/** Durations as users write and read them. */

import { MaintenanceError } from './errors.js';

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
};

/**
 * Reads `250ms`, `30s`, `90m`, `24h`, `1.5d`, `2w`.
 *
 * @returns whole milliseconds, greater than 0.
 * @throws MaintenanceError ERR_USAGE when it is no duration.
 */
export function parseDurationMs(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*$/.exec(text);
  const durationMs = Math.round(Number(match?.[1]) * (UNIT_MS[match?.[2] ?? ''] ?? Number.NaN));
  if (!Number.isSafeInteger(durationMs) || durationMs <= 0) {
    throw new MaintenanceError('ERR_USAGE', `not a duration: "${text}"`, {
      nextStep: 'Write a number with ms, s, m, h, d or w behind it, for example 30m or 24h.',
    });
  }
  return durationMs;
}

/** More is no goal. */
export const LATENCY_MS_MAX = 60_000;

/**
 * Reads `5ms`, `0.5ms`, `1s`.
 *
 * @returns milliseconds, which need not be whole.
 * @throws MaintenanceError ERR_USAGE when it is no latency, or more than a minute.
 */
export function parseLatencyMs(text: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)(ms|s)$/.exec(text) ?? [];
  const ms = Number(digits) * (unit === 's' ? 1_000 : 1);
  if (ms > 0 && ms <= LATENCY_MS_MAX) return ms;
  throw new MaintenanceError('ERR_USAGE', `not a latency: "${text}"`, {
    nextStep: 'Give it as 5ms, 0.5ms or 1s.',
  });
}

/** `5400000` → `1.5 h`: the largest unit in which it is at least one, at most one decimal. */
export function formatDuration(durationMs: number): string {
  const units = ['d', 'h', 'm', 's', 'ms'];
  const unit = units.find((one) => Math.abs(durationMs) >= (UNIT_MS[one] ?? 1)) ?? 'ms';
  return `${Number((durationMs / (UNIT_MS[unit] ?? 1)).toFixed(1))} ${unit === 'm' ? 'min' : unit}`;
}
