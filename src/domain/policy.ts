/**
 * Reclamation policies: what a pool's maintenance is allowed to do and when it begins. Pure.
 *
 * A stored policy is a preset and what differs from it. The effective one is made of, later ones
 * winning: the preset; the pool's overrides; what a tier changes; the overrides of that tier.
 * docs/policy.md lists every field.
 */

import type { Intensity } from './defrag-plan.js';
import { TIERS, type Tier } from './heat.js';
import { TRIM_BATCH_BYTES_DEFAULT, type TrimIntensity } from './trim-schedule.js';
import { MIB } from './units.js';

export const POLICY_PRESETS = [
  'aggressive',
  'balanced',
  'conservative',
  'performance',
  'custom',
] as const;
export type PolicyPreset = (typeof POLICY_PRESETS)[number];

export interface DefragPolicy {
  readonly enabled: boolean;
  readonly intensity: Intensity;
  readonly fragmentationThresholdRatio: number;
  /** Extents with fewer fragments are left alone. */
  readonly minFragments: number;
  readonly hotFirst: boolean;
  readonly pauseOnHighLoad: boolean;
  readonly threadCount: number;
}

export interface TrimPolicy {
  readonly enabled: boolean;
  readonly intensity: TrimIntensity;
  readonly batchBytes: number;
  readonly secureErase: boolean;
  readonly discardGranularityBytes: number;
}

export interface TierPolicy {
  readonly defrag: DefragPolicy;
  readonly trim: TrimPolicy;
  readonly capacityThresholdRatio: number;
  readonly fragmentationThresholdRatio: number;
}

/** Open from each time that the cron expression names, in that zone, for a duration. */
export interface MaintenanceWindow {
  readonly cron: string;
  /** IANA name. */
  readonly timeZone: string;
  readonly durationMs: number;
}

/** By the clock on the wall, from `from` up to `to` (exclusive); over midnight when `to` is earlier. */
export interface QuietHours {
  /** HH:MM. */
  readonly from: string;
  readonly to: string;
  readonly timeZone: string;
}

export interface Policy {
  readonly preset: PolicyPreset;
  readonly enabled: boolean;
  readonly defrag: DefragPolicy;
  readonly trim: TrimPolicy;
  readonly capacityThresholdRatio: number;
  readonly fragmentationThresholdRatio: number;
  readonly scheduleIntervalMs: number;
  readonly tiers: Readonly<Record<Tier, TierPolicy>>;
  /** Empty: at any time. */
  readonly windows: readonly MaintenanceWindow[];
  readonly quietHours: readonly QuietHours[];
  readonly timeBudgetMs: number | null;
  readonly wearBudgetBytesPerDay: number | null;
  readonly sloMs: number | null;
  readonly adaptive: boolean;
}

/** What differs from a preset. A list replaces the whole list. */
export type Overrides<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { readonly [K in keyof T]?: Overrides<T[K]> | undefined }
    : T;

export type PolicyOverrides = Overrides<Omit<Policy, 'preset'>>;

/** What is stored. */
export interface PolicyDocument {
  readonly preset: PolicyPreset;
  readonly overrides: PolicyOverrides;
}

export const DEFAULT_POLICY: PolicyDocument = { preset: 'balanced', overrides: {} };

export const PRESET_DESCRIPTIONS: Readonly<Record<PolicyPreset, string>> = {
  aggressive: 'Maximize space: Heavy defrag + aggressive TRIM',
  balanced: 'Balanced: Defrag hot tier + regular TRIM',
  conservative: 'Space-focused: TRIM only, minimal defrag',
  performance: 'Performance-focused: Minimal maintenance',
  custom: 'User-defined custom policy',
};

type PresetValues = Pick<TierPolicy, 'defrag' | 'trim'>;

function preset(
  defrag: readonly [boolean, Intensity, number, number, boolean, boolean, number],
  trim: readonly [TrimIntensity, number],
): PresetValues {
  const [enabled, intensity, ratio, minFragments, hotFirst, pauseOnHighLoad, threadCount] = defrag;
  return {
    defrag: {
      enabled,
      intensity,
      fragmentationThresholdRatio: ratio,
      minFragments,
      hotFirst,
      pauseOnHighLoad,
      threadCount,
    },
    trim: {
      enabled: true,
      intensity: trim[0],
      batchBytes: trim[1],
      secureErase: false,
      discardGranularityBytes: 4096,
    },
  };
}

/** Columns: enabled, intensity, threshold, min fragments, hot first, pause on load, threads. */
const PRESETS: Readonly<Record<PolicyPreset, PresetValues>> = {
  aggressive: preset([true, 'high', 0.15, 2, false, false, 4], ['aggressive', 500 * MIB]),
  balanced: preset([true, 'medium', 0.3, 3, true, true, 2], ['balanced', 200 * MIB]),
  conservative: preset([true, 'low', 0.5, 5, false, true, 1], ['balanced', 100 * MIB]),
  performance: preset([false, 'low', 0.8, 10, true, true, 1], ['conservative', 50 * MIB]),
  custom: preset([false, 'low', 0.3, 2, true, true, 1], ['balanced', TRIM_BATCH_BYTES_DEFAULT]),
};

const DAY_MS = 24 * 60 * 60 * 1000;
const CAPACITY_THRESHOLD_RATIO = 0.85;

/** @returns the policy that holds, with every field. */
export function effectivePolicy({ preset, overrides }: PolicyDocument): Policy {
  const { tiers: tierOverrides, ...poolOverrides } = overrides;
  const base = PRESETS[preset];
  const pool = merged<Omit<Policy, 'tiers'>>(
    {
      preset,
      enabled: true,
      ...base,
      capacityThresholdRatio: CAPACITY_THRESHOLD_RATIO,
      fragmentationThresholdRatio:
        overrides.defrag?.fragmentationThresholdRatio ?? base.defrag.fragmentationThresholdRatio,
      scheduleIntervalMs: DAY_MS,
      windows: [],
      quietHours: [],
      timeBudgetMs: null,
      wearBudgetBytesPerDay: null,
      sloMs: null,
      adaptive: false,
    },
    poolOverrides,
  );
  const tiers = TIERS.map((tier) => [
    tier,
    merged<TierPolicy>(tierDefaults(tier, pool), tierOverrides?.[tier] ?? {}),
  ]);
  return { ...pool, tiers: Object.fromEntries(tiers) };
}

/** A policy whose defragmentation is off has it off on every tier, unless the tier itself says else. */
function tierDefaults(tier: Tier, pool: Omit<Policy, 'tiers'>): TierPolicy {
  const { defrag, trim, capacityThresholdRatio, fragmentationThresholdRatio } = pool;
  switch (tier) {
    case 'hot':
      return {
        defrag: { ...defrag, intensity: 'high', fragmentationThresholdRatio: 0.25 },
        trim: { ...trim, intensity: 'conservative' },
        capacityThresholdRatio: 0.9,
        fragmentationThresholdRatio: 0.25,
      };
    case 'warm':
      return { defrag, trim, capacityThresholdRatio, fragmentationThresholdRatio };
    case 'cold':
      return {
        defrag: { ...defrag, enabled: false, fragmentationThresholdRatio: 0.6 },
        trim: { ...trim, intensity: 'aggressive' },
        capacityThresholdRatio: 0.8,
        fragmentationThresholdRatio: 0.6,
      };
  }
}

/** Objects field by field; everything else, also a list, as a whole. Undefined changes nothing. */
export function merged<T extends object>(base: T, changes: Overrides<T>): T {
  const result: Record<string, unknown> = { ...(base as Record<string, unknown>) };
  for (const [key, change] of Object.entries(changes)) {
    if (change === undefined) continue;
    const before = result[key];
    result[key] = isPlain(change) ? merged(isPlain(before) ? before : {}, change) : change;
  }
  return result as T;
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
