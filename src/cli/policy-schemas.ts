/** What the commands of `policy` print with `--json`. */

import * as z from 'zod';
import { INTENSITIES } from '../domain/defrag-plan.js';
import { TIERS } from '../domain/heat.js';
import { POLICY_PRESETS } from '../domain/policy.js';
import { HOLD_KINDS } from '../domain/trigger-holds.js';
import { TRIGGERS, VERDICT_STATES } from '../domain/triggers.js';
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

const Scope = z.enum(['pool', ...TIERS]);
const Trigger = z.enum(TRIGGERS);

export const PolicyExplainOutput = z.strictObject({
  ...versioned,
  atMs: timeMs,
  policy: z.strictObject({
    preset: z.enum(POLICY_PRESETS),
    /** Null for that of a file. */
    version: count.nullable(),
    file: z.string().nullable(),
    enabled: z.boolean(),
    timeBudgetMs: positiveMs.nullable(),
    wearBudgetBytesPerDay: bytes.nullable(),
  }),
  /** What would begin with the next tick; null for nothing. */
  begins: z.strictObject({ trigger: Trigger, scope: Scope, reason: z.string() }).nullable(),
  holds: z.array(
    z.strictObject({
      kind: z.enum(HOLD_KINDS),
      triggers: z.array(Trigger),
      untilMs: timeMs.nullable(),
      reason: z.string(),
    }),
  ),
  triggers: z.array(
    z.strictObject({
      trigger: Trigger,
      scope: Scope,
      state: z.enum(VERDICT_STATES),
      /** A ratio (capacity, fragmentation), milliseconds (schedule; freed on a mount) or bytes (freed). */
      measured: z.number().nonnegative().nullable(),
      threshold: z.number().nonnegative().nullable(),
      heldUntilMs: timeMs.nullable(),
      reason: z.string(),
    }),
  ),
  /** Null where the policy has none: at any time. */
  windows: z
    .strictObject({
      openUntilMs: timeMs.nullable(),
      openedAtMs: timeMs.nullable(),
      opensAtMs: timeMs.nullable(),
    })
    .nullable(),
  quietUntilMs: timeMs.nullable(),
  wornTodayBytes: bytes.nullable(),
  payback: z.strictObject({ backsOffUntilMs: timeMs.nullable(), reason: z.string() }).nullable(),
  adaptive: z
    .strictObject({
      begin: z.boolean(),
      intensity: z.enum(INTENSITIES),
      /** 0 to 167, from Monday midnight in the time zone of the policy. */
      chosenHour: count,
      reason: z.string(),
    })
    .nullable(),
  tiers: z.array(
    z.strictObject({
      tier: z.enum(TIERS),
      defrag: z.strictObject({
        moves: z.boolean(),
        intensity: z.enum(INTENSITIES),
        threadCount: count,
        minFragments: count,
        reason: z.string(),
      }),
      trim: z.strictObject({
        trims: z.boolean(),
        intensity: z.enum(TRIM_INTENSITIES),
        pendingBytes: bytes.nullable(),
        reason: z.string(),
      }),
    }),
  ),
});
