/** Policies: the presets have the values of the specification, and an override changes what it names. */

import { describe, expect, it } from 'vitest';
import { effectivePolicy, POLICY_PRESETS, type Policy } from '../../src/domain/policy.js';
import { MIB } from '../../src/domain/units.js';

const of = (preset: Policy['preset'], overrides = {}) => effectivePolicy({ preset, overrides });

describe('presets', () => {
  it.each([
    ['aggressive', true, 'high', 0.15, 2, false, false, 4, 'aggressive', 500],
    ['balanced', true, 'medium', 0.3, 3, true, true, 2, 'balanced', 200],
    ['conservative', true, 'low', 0.5, 5, false, true, 1, 'balanced', 100],
    ['performance', false, 'low', 0.8, 10, true, true, 1, 'conservative', 50],
    ['custom', false, 'low', 0.3, 2, true, true, 1, 'balanced', 100],
  ] as const)('%s', (preset, ...values) => {
    const { defrag, trim, fragmentationThresholdRatio, tiers, ...rest } = of(preset);
    expect([...Object.values(defrag), trim.intensity, trim.batchBytes / MIB]).toEqual(values);
    expect(trim).toMatchObject({
      enabled: true,
      secureErase: false,
      discardGranularityBytes: 4096,
    });
    expect(fragmentationThresholdRatio).toBe(defrag.fragmentationThresholdRatio);
    expect(tiers.warm).toMatchObject({ defrag, trim, capacityThresholdRatio: 0.85 });
    expect(rest).toEqual({
      preset,
      enabled: true,
      capacityThresholdRatio: 0.85,
      scheduleIntervalMs: 86_400_000,
      windows: [],
      quietHours: [],
      timeBudgetMs: null,
      wearBudgetBytesPerDay: null,
      sloMs: null,
      adaptive: false,
    });
  });

  it.each(POLICY_PRESETS)('%s: hot works hard, cold gives space back', (preset) => {
    const { defrag, tiers } = of(preset);
    expect(tiers.hot).toMatchObject({
      defrag: { enabled: defrag.enabled, intensity: 'high' },
      trim: { intensity: 'conservative' },
      capacityThresholdRatio: 0.9,
      fragmentationThresholdRatio: 0.25,
    });
    expect(tiers.cold).toMatchObject({
      defrag: { enabled: false },
      trim: { intensity: 'aggressive' },
      capacityThresholdRatio: 0.8,
      fragmentationThresholdRatio: 0.6,
    });
  });
});

it('an override of the pool reaches its tiers; one of a tier stays there', () => {
  const policy = of('balanced', {
    defrag: { threadCount: 7 },
    trim: { secureErase: true },
    tiers: { cold: { defrag: { enabled: true }, capacityThresholdRatio: 0.5 } },
  });
  for (const part of [policy, ...Object.values(policy.tiers)]) {
    expect(part).toMatchObject({ defrag: { threadCount: 7 }, trim: { secureErase: true } });
  }
  expect(policy.tiers.cold).toMatchObject({
    defrag: { enabled: true },
    capacityThresholdRatio: 0.5,
  });
  expect(policy.tiers.hot.capacityThresholdRatio).toBe(0.9);
  expect(policy.capacityThresholdRatio).toBe(0.85);
});
