/** How a policy is shown to people. */

import { formatDuration } from '../domain/durations.js';
import { TIERS } from '../domain/heat.js';
import type { Policy, TierPolicy } from '../domain/policy.js';
import { formatBytes } from '../domain/units.js';
import type { Output } from './schemas.js';
import { tableText } from './text.js';

export function policySetText({ preset, description }: Output<'policy set'>): string {
  return `Reclamation policy set to: ${preset}\nDescription: ${description}`;
}

export function policyText(view: Output<'policy show'>): string {
  const { preset, description, version, setBy, effective, overrides } = view;
  const who = setBy === null ? 'the default' : `version ${version}, set by ${setBy}`;
  return [
    `Reclamation policy: ${preset} (${who})`,
    `  ${description}`,
    ...effectiveLines(effective),
    ...(Object.keys(overrides).length === 0
      ? []
      : ['', 'Overrides:', JSON.stringify(overrides, null, 2)]),
  ].join('\n');
}

export function effectiveLines(policy: Policy): string[] {
  const { windows, quietHours, timeBudgetMs, wearBudgetBytesPerDay, sloMs } = policy;
  const rows = [
    ['pool', policy] as const,
    ...TIERS.map((tier) => [tier, policy.tiers[tier]] as const),
  ];
  return [
    `  Engine: ${policy.enabled ? 'on' : 'off'}, every ${formatDuration(policy.scheduleIntervalMs)}${policy.adaptive ? ', adaptive' : ''}`,
    `  Windows: ${windows.map((one) => `${one.cron} (${one.timeZone}) for ${formatDuration(one.durationMs)}`).join('; ') || 'any time'}`,
    `  Quiet hours: ${quietHours.map((one) => `${one.from}-${one.to} (${one.timeZone})`).join('; ') || 'none'}`,
    `  Budgets: ${timeBudgetMs === null ? 'any time' : formatDuration(timeBudgetMs)} a run, ${wearBudgetBytesPerDay === null ? 'any amount' : formatBytes(wearBudgetBytesPerDay)} a day`,
    `  Latency goal: ${sloMs === null ? 'none' : formatDuration(sloMs)}`,
    '',
    tableText([
      ['SCOPE', 'DEFRAG', 'MIN', 'THREADS', 'TRIM', 'BATCH', 'CAPACITY', 'FRAGMENTATION'],
      ...rows.map(([scope, part]) => row(scope, part)),
    ]),
  ];
}

function row(scope: string, part: TierPolicy): string[] {
  const { defrag, trim, capacityThresholdRatio, fragmentationThresholdRatio } = part;
  return [
    scope,
    defrag.enabled ? defrag.intensity : 'off',
    String(defrag.minFragments),
    String(defrag.threadCount),
    trim.enabled ? `${trim.intensity}${trim.secureErase ? ', secure erase' : ''}` : 'off',
    formatBytes(trim.batchBytes),
    `${Math.round(capacityThresholdRatio * 100)}%`,
    fragmentationThresholdRatio.toFixed(2),
  ];
}
