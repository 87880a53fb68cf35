/** Flags of `policy set`: one for each field of a policy, for the pool and for a tier. */

import { afterAll, describe, expect, it } from 'vitest';
import { overridesOf, type PolicyFieldFlags } from '../../src/cli/policy-flags.js';
import { effectivePolicy, type Policy } from '../../src/domain/policy.js';
import { GIB, MIB } from '../../src/domain/units.js';
import { emptyPool } from '../support/cli-pools.js';
import { CliNode } from '../support/cli-run.js';

const node = new CliNode();
afterAll(() => node.stop());

const HOUR_MS = 3_600_000;

/** Each with a value that no preset has: the flag, what it is given, the field, its value. */
const OF_TIERS = [
  ['defrag', false, 'defrag.enabled', false],
  ['intensity', 'low', 'defrag.intensity', 'low'],
  ['defrag-threshold', 0.41, 'defrag.fragmentationThresholdRatio', 0.41],
  ['min-fragments', 42, 'defrag.minFragments', 42],
  ['hot-first', false, 'defrag.hotFirst', false],
  ['pause-on-load', false, 'defrag.pauseOnHighLoad', false],
  ['threads', 3, 'defrag.threadCount', 3],
  ['trim', false, 'trim.enabled', false],
  ['trim-intensity', 'conservative', 'trim.intensity', 'conservative'],
  ['batch-size', '77M', 'trim.batchBytes', 77 * MIB],
  ['secure-erase', true, 'trim.secureErase', true],
  ['granularity', '64K', 'trim.discardGranularityBytes', 64 * 1024],
  ['capacity', 0.43, 'capacityThresholdRatio', 0.43],
  ['fragmentation', 0.44, 'fragmentationThresholdRatio', 0.44],
] as const;

const WINDOW = { cron: '0 1 * * 1-5', durationMs: 4 * HOUR_MS, timeZone: 'Europe/Berlin' };

const OF_POOL = [
  ['enabled', false, 'enabled', false],
  ['schedule', '7d', 'scheduleIntervalMs', 7 * 24 * HOUR_MS],
  ['window', ['0 1 * * 1-5 for 4h in Europe/Berlin'], 'windows', [WINDOW]],
  ['quiet', ['08:00-20:00'], 'quietHours', [{ from: '08:00', to: '20:00', timeZone: 'UTC' }]],
  ['time-budget', '90m', 'timeBudgetMs', 1.5 * HOUR_MS],
  ['wear-budget', '50G', 'wearBudgetBytesPerDay', 50 * GIB],
  ['slo', '0.5ms', 'sloMs', 0.5],
  ['adaptive', true, 'adaptive', true],
] as const;

const at = (policy: unknown, path: string): unknown =>
  path.split('.').reduce((part, key) => (part as Record<string, unknown>)[key], policy);

async function changed(flags: PolicyFieldFlags): Promise<Policy> {
  return effectivePolicy({ preset: 'balanced', overrides: await overridesOf(flags) });
}

const before = effectivePolicy({ preset: 'balanced', overrides: {} });

describe('flags', () => {
  it.each([...OF_TIERS, ...OF_POOL])('--%s %j sets %s', async (flag, given, path, value) => {
    expect(at(before, path)).not.toEqual(value);
    expect(at(await changed({ [flag]: given }), path)).toEqual(value);
  });

  it.each(OF_TIERS)(
    '--tier cold --%s %j sets %s of that tier alone',
    async (flag, given, path, value) => {
      const policy = await changed({ tier: ['cold'], [flag]: given });
      expect(at(policy.tiers.cold, path)).toEqual(value);
      expect(policy.tiers.hot).toEqual(before.tiers.hot);
      expect({ ...policy, tiers: null }).toEqual({ ...before, tiers: null });
    },
  );

  it('are there for every field', () => {
    const { preset: _, tiers, ...ofPool } = before;
    const paths = (value: object, prefix: string): string[] =>
      Object.entries(value).flatMap(([key, one]) =>
        ['defrag', 'trim'].includes(key) ? paths(one, `${prefix}${key}.`) : [`${prefix}${key}`],
      );
    const known = [...OF_TIERS, ...OF_POOL].map(([, , path]) => path).sort();
    expect(paths(ofPool, '').sort()).toEqual(known);
    expect(paths(tiers.hot, '').sort()).toEqual(OF_TIERS.map(([, , path]) => path).sort());
  });

  it.each([
    [{ window: ['none'] }, 'windows', []],
    [{ quiet: ['none'] }, 'quietHours', []],
    [{ 'time-budget': 'none' }, 'timeBudgetMs', null],
    [{ 'wear-budget': 'none' }, 'wearBudgetBytesPerDay', null],
    [{ slo: 'none' }, 'sloMs', null],
  ] as const)('%j takes it away', async (flags, path, value) => {
    expect(at(await overridesOf(flags as PolicyFieldFlags), path)).toEqual(value);
  });

  it.each([
    [{ threads: 0, capacity: 85 }, ['defrag.threadCount', 'capacityThresholdRatio']],
    [{ window: ['0 1 * * *'] }, ['windows.0.durationMs']],
    [{ window: ['soon for 1h in Mars/Base'] }, ['windows.0.cron', 'windows.0.timeZone']],
    [{ quiet: ['always'] }, ['quietHours.0.from', 'quietHours.0.to']],
    [{ 'batch-size': '1K', tier: ['hot'] }, ['tiers.hot.trim.batchBytes']],
    [{ schedule: 'daily' }, ['scheduleIntervalMs']],
  ] as const)('%j are refused with every path', async (flags, paths) => {
    const error = await overridesOf(flags as unknown as PolicyFieldFlags).catch((cause) => cause);
    expect(error).toMatchObject({ code: 'ERR_USAGE' });
    for (const path of paths) expect(error.message).toContain(`  ${path}: `);
  });

  it.each([{ tier: ['hot'] }, { tier: ['hot'], schedule: '1h' }] as const)(
    '%j is refused',
    async (flags) => {
      const wrong = overridesOf(flags as unknown as PolicyFieldFlags);
      await expect(wrong).rejects.toMatchObject({ code: 'ERR_USAGE' });
    },
  );
});

it('policy set adds flags to what is set, and sets nothing when one is wrong', async () => {
  const { path } = await emptyPool();
  const set = (...flags: string[]) => node.run(['policy', 'set', '-p', path, ...flags]);
  const cold = ['--tier', 'cold', '--defrag', '--min-fragments', '9', '--no-trim'];
  for (const flags of [
    ['--policy', 'aggressive'],
    cold,
    ['--quiet', '08:00-20:00 in Asia/Tokyo'],
  ]) {
    expect(await set(...flags)).toMatchObject({ code: 0 });
  }
  const view = await node.json('policy show', ['-p', path]);
  expect(view).toMatchObject({
    version: 3,
    preset: 'aggressive',
    effective: {
      tiers: { cold: { defrag: { enabled: true, minFragments: 9 }, trim: { enabled: false } } },
      quietHours: [{ from: '08:00', to: '20:00', timeZone: 'Asia/Tokyo' }],
    },
  });
  for (const wrong of [['--threads', '0'], ['--capacity', '85%'], []]) {
    expect(await set(...wrong)).toMatchObject({ code: 2 });
  }
  expect(await node.json('policy show', ['-p', path])).toEqual(view);
});
