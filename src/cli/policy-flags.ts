/** Flags of `policy set`: one for each field, and what they change. Values are checked as those of a file. */

import { Flags } from '@oclif/core';
import { INTENSITIES } from '../domain/defrag-plan.js';
import { MaintenanceError } from '../domain/errors.js';
import { TIERS, type Tier } from '../domain/heat.js';
import type { PolicyOverrides } from '../domain/policy.js';
import { TRIM_INTENSITIES } from '../domain/trim-schedule.js';

const text = (summary: string, helpValue: string, helpGroup: string) =>
  Flags.string({ summary, helpValue, helpGroup });
const number = (summary: string, helpGroup: string) =>
  Flags.custom<number>({
    summary,
    helpGroup,
    helpValue: 'N',
    parse: async (value) => toNumber(value),
  })();
const yesOrNo = (summary: string, helpGroup: string) =>
  Flags.boolean({ summary, helpGroup, allowNo: true });

const OF_TIERS = 'POOL OR TIER';
const OF_POOL = 'POOL';

/** Where each flag that a tier may have, too, is kept. */
const TIER_FIELDS = {
  defrag: ['defrag', 'enabled'],
  intensity: ['defrag', 'intensity'],
  'defrag-threshold': ['defrag', 'fragmentationThresholdRatio'],
  'min-fragments': ['defrag', 'minFragments'],
  'hot-first': ['defrag', 'hotFirst'],
  'pause-on-load': ['defrag', 'pauseOnHighLoad'],
  threads: ['defrag', 'threadCount'],
  trim: ['trim', 'enabled'],
  'trim-intensity': ['trim', 'intensity'],
  'batch-size': ['trim', 'batchBytes'],
  'secure-erase': ['trim', 'secureErase'],
  granularity: ['trim', 'discardGranularityBytes'],
  capacity: ['capacityThresholdRatio'],
  fragmentation: ['fragmentationThresholdRatio'],
} as const;

const POOL_FIELDS = {
  enabled: ['enabled'],
  schedule: ['scheduleIntervalMs'],
  window: ['windows'],
  quiet: ['quietHours'],
  'time-budget': ['timeBudgetMs'],
  'wear-budget': ['wearBudgetBytesPerDay'],
  slo: ['sloMs'],
  adaptive: ['adaptive'],
} as const;

export const policyFieldFlags = {
  tier: Flags.option({
    options: TIERS,
    multiple: true,
    summary: 'What the flags below are for, instead of the pool.',
  })(),
  defrag: yesOrNo('Whether it is defragmented.', OF_TIERS),
  intensity: Flags.option({
    options: INTENSITIES,
    summary: 'How hard defragmentation works.',
    helpGroup: OF_TIERS,
  })(),
  'defrag-threshold': number(
    'A run leaves a tier alone that is not fragmented more: 0 to 1.',
    OF_TIERS,
  ),
  'min-fragments': number('Extents or files in fewer fragments are left alone.', OF_TIERS),
  'hot-first': yesOrNo('Whether the hottest are moved first.', OF_TIERS),
  'pause-on-load': yesOrNo('Whether runs pause while devices are saturated.', OF_TIERS),
  threads: number('Threads of a run.', OF_TIERS),
  trim: yesOrNo('Whether it is trimmed without being told.', OF_TIERS),
  'trim-intensity': Flags.option({
    options: TRIM_INTENSITIES,
    summary: 'When a trim is due.',
    helpGroup: OF_TIERS,
  })(),
  'batch-size': text('Bytes in one batch of a trim, 50M to 500M.', 'SIZE', OF_TIERS),
  'secure-erase': yesOrNo('Whether a trim overwrites first.', OF_TIERS),
  granularity: text('A trim asks for whole pieces of this size only.', 'SIZE', OF_TIERS),
  capacity: number('Begins when more than this part is used: 0 to 1.', OF_TIERS),
  fragmentation: number('Begins when more than this part is fragmented: 0 to 1.', OF_TIERS),
  enabled: yesOrNo('Whether triggers begin anything.', OF_POOL),
  schedule: text('Begins at the latest so long after the last, such as 24h.', 'TIME', OF_POOL),
  window: Flags.string({
    summary:
      'It works in windows only, such as "0 1 * * 1-5 for 4h in Europe/Berlin"; "none": at any time.',
    helpValue: 'WINDOW',
    helpGroup: OF_POOL,
    multiple: true,
  }),
  quiet: Flags.string({
    summary: 'It begins nothing in quiet hours, such as "08:00-20:00 in Europe/Berlin"; or "none".',
    helpValue: 'HOURS',
    helpGroup: OF_POOL,
    multiple: true,
  }),
  'time-budget': text(
    'A reclamation ends, to go on later, after so long; or "none".',
    'TIME',
    OF_POOL,
  ),
  'wear-budget': text('So much may be rewritten in a day; or "none".', 'SIZE', OF_POOL),
  slo: text('The mean latency that others shall have, such as 5ms; or "none".', 'TIME', OF_POOL),
  adaptive: yesOrNo('Whether it learns the hours in which it disturbs least.', OF_POOL),
};

type Field = keyof typeof TIER_FIELDS | keyof typeof POOL_FIELDS;
export type PolicyFieldFlags = Partial<Record<Field, unknown>> & {
  readonly tier?: Tier[] | undefined;
};

/**
 * @returns what the flags change, checked as a file is; lists replace the whole list.
 * @throws MaintenanceError ERR_USAGE with everything that is wrong.
 */
export async function overridesOf(flags: PolicyFieldFlags): Promise<PolicyOverrides> {
  const raw: Record<string, unknown> = {};
  const scopes = flags.tier?.map((tier) => ['tiers', tier]) ?? [[]];
  for (const [flag, path] of Object.entries(TIER_FIELDS)) {
    const value = flags[flag as Field];
    if (value === undefined) continue;
    for (const scope of scopes) put(raw, [...scope, ...path], value);
  }
  for (const [flag, path] of Object.entries(POOL_FIELDS)) {
    const value = flags[flag as Field];
    if (value === undefined) continue;
    if (flags.tier) throw ofPoolOnly(flag);
    put(raw, [...path], poolValue(flag, value));
  }
  if (flags.tier && Object.keys(raw).length === 0) {
    throw new MaintenanceError('ERR_USAGE', '--tier changes nothing by itself', {
      nextStep: 'Add what shall be changed, for example --tier hot --trim-intensity balanced.',
    });
  }
  if (Object.keys(raw).length === 0) return {};
  const { checkPolicy, policyErrors } = await import('./policy-file.js');
  const result = checkPolicy(raw, 'custom');
  if ('problems' in result) throw policyErrors('flags', result.problems);
  return result.document.overrides;
}

function put(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [key = '', ...rest] = path;
  if (rest.length === 0) {
    target[key] = value;
    return;
  }
  target[key] ??= {};
  put(target[key] as Record<string, unknown>, rest, value);
}

function poolValue(flag: string, value: unknown): unknown {
  if (flag === 'window' || flag === 'quiet') {
    const texts = value as string[];
    if (texts.includes('none')) return [];
    return texts.map(flag === 'window' ? toWindow : toQuietHours);
  }
  return value === 'none' ? null : value;
}

/** `CRON for TIME in ZONE`; UTC where no zone is named. What is left out is missed by the check. */
function toWindow(written: string): Record<string, string> {
  const [, cron = written, durationMs, timeZone] =
    /^(.*?)(?:\s+for\s+(\S+))?(?:\s+in\s+(\S+))?$/.exec(written.trim()) ?? [];
  return { cron, ...(durationMs ? { durationMs } : {}), ...(timeZone ? { timeZone } : {}) };
}

/** `HH:MM-HH:MM in ZONE`. */
function toQuietHours(written: string): Record<string, string> {
  const [, from = written, to = '', timeZone] =
    /^([^-]*)-(.*?)(?:\s+in\s+(\S+))?$/.exec(written.trim()) ?? [];
  return { from, to, ...(timeZone ? { timeZone } : {}) };
}

function toNumber(value: string): number {
  const found = value.trim() === '' ? Number.NaN : Number(value);
  if (Number.isFinite(found)) return found;
  throw new MaintenanceError('ERR_USAGE', `not a number: "${value}"`, {
    nextStep: 'Ratios are written as 0.85, not as 85%.',
  });
}

function ofPoolOnly(flag: string): MaintenanceError {
  return new MaintenanceError('ERR_USAGE', `--${flag} is of the whole pool, and not of a tier`, {
    nextStep: 'Set it with a command of its own, without --tier.',
  });
}
