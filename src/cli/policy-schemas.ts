/** What the commands of `policy` print with `--json`. */

import { z } from 'zod';
import { INTENSITIES } from '../domain/defrag-plan.js';
import { POLICY_PRESETS } from '../domain/policy.js';
import { TRIM_INTENSITIES } from '../domain/trim-schedule.js';
import { bytes, count, ratio, timeMs, versioned } from './schema-parts.js';

const positiveMs = z.number().positive();

const thresholds = { capacityThresholdRatio: ratio, fragmentationThresholdRatio: ratio };
const Defrag = z.strictObject({
  enabled: z.boolean(),
  intensity: z.enum(INTENSITIES),
  fragmentationThresholdRatio: ratio,
  minFragments: count,
  hotFirst: z.boolean(),
  pauseOnHighLoad: z.boolean(),
  threadCount: count,
});
const Trim = z.strictObject({
  enabled: z.boolean(),
  intensity: z.enum(TRIM_INTENSITIES),
  batchBytes: bytes,
  secureErase: z.boolean(),
  discardGranularityBytes: bytes,
});
const Tier = z.strictObject({ defrag: Defrag, trim: Trim, ...thresholds });

const Effective = z.strictObject({
  preset: z.enum(POLICY_PRESETS),
  enabled: z.boolean(),
  defrag: Defrag,
  trim: Trim,
  ...thresholds,
  scheduleIntervalMs: positiveMs,
  tiers: z.strictObject({ hot: Tier, warm: Tier, cold: Tier }),
  windows: z.array(
    z.strictObject({ cron: z.string(), timeZone: z.string(), durationMs: positiveMs }),
  ),
  quietHours: z.array(z.strictObject({ from: z.string(), to: z.string(), timeZone: z.string() })),
  timeBudgetMs: positiveMs.nullable(),
  wearBudgetBytesPerDay: bytes.nullable(),
  sloMs: positiveMs.nullable(),
  adaptive: z.boolean(),
});

export const PolicyOutput = z.strictObject({
  ...versioned,
  /** 0 for the default, which nobody set. */
  version: count,
  setAtMs: timeMs.nullable(),
  setBy: z.string().nullable(),
  preset: z.enum(POLICY_PRESETS),
  description: z.string(),
  /** What differs from the preset. */
  overrides: z.record(z.string(), z.unknown()),
  effective: Effective,
});

export const PolicyFileOutput = z.strictObject({
  ...versioned,
  file: z.string(),
  preset: z.enum(POLICY_PRESETS),
  effective: Effective,
});
