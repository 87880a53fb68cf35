/** How reclamations are shown to people; the first lines of a status are the spec's. */

import { formatBytes, MIB } from '../domain/units.js';
import { governorLines } from './governor-view.js';
import { pauseLines } from './pause-view.js';
import type { ReclamationView } from './reclamation-schemas.js';
import type { Output } from './schemas.js';
import { bytesText, capitalised, durationText, percent } from './text.js';
import { trendLines } from './trends-text.js';

type StepView = ReclamationView['steps'][number];

export function reclamationStatusText(
  view: Output<'reclamation status'>,
  nowMs: number,
  isUnicode: boolean,
): string {
  const { policy, statistics, open, pausedQueues, governor, trends, recent } = view;
  const lines = [
    'Reclamation Policy Status:',
    `  Current policy: ${capitalised(policy.preset)}`,
    `  Description: ${policy.description}`,
    `  Enabled: ${policy.enabled}`,
    '',
    'Statistics:',
    `  Total reclamations: ${statistics.reclamationCount}`,
    `  Total space reclaimed: ${bytesText(statistics.reclaimedBytes)}`,
    `  Total extents defragmented: ${statistics.defragmentedCount}`,
  ];
  if (open) {
    lines.push('', ...reclamationLines(open, nowMs), ...queueLines(pausedQueues));
    lines.push(...governorLines(governor));
  }
  lines.push('', `Recent Events (${recent.length}):`);
  lines.push(...recent.map((one, index) => `  ${index + 1}. ${eventText(one, nowMs)}`));
  lines.push('', 'Trends:', ...trendLines(trends, isUnicode));
  return lines.join('\n');
}

function queueLines(paused: Output<'reclamation status'>['pausedQueues']): string[] {
  return (paused ?? []).map(
    (queue) =>
      `  The queue ${queue} is paused in BullMQ: what is in it waits until it is resumed there`,
  );
}

function eventText(one: ReclamationView, nowMs: number): string {
  const { trigger, scope, endedAtMs, state, endCause, helped } = one;
  const parts = [
    `Trigger: ${capitalised(trigger)}${scope ? ` (${scope})` : ''}`,
    `Space: ${Math.round(one.reclaimedBytes / MIB)} MB`,
    `Extents: ${one.defragmentedCount}`,
    endCause === null ? state : `ended by ${endCause}`,
    ...(helped === false ? ['did not help'] : []),
    `${durationText(Math.max(0, nowMs - (endedAtMs ?? nowMs)))} ago`,
  ];
  return parts.join(', ');
}

/** One reclamation, its steps below it. */
export function reclamationLines(one: ReclamationView, nowMs: number): string[] {
  const lastedMs = (one.endedAtMs ?? nowMs) - one.startedAtMs;
  const lines = [
    `Reclamation ${one.reclamationId}: ${one.state}${one.endCause ? ` (${one.endCause})` : ''}, ${durationText(Math.max(0, lastedMs))}`,
    `  Because: ${one.reason}`,
    ...pauseLines(one.pause),
    ...one.steps.map((step) => `  ${stepLine(step)}`),
  ];
  if (one.rewrittenBytes > 0) lines.push(`  Rewritten: ${formatBytes(one.rewrittenBytes)}`);
  if (one.endedAtMs !== null) lines.push(...comparison(one));
  return lines;
}

const STEP_NAMES = { analyze: 'Analyze', defrag: 'Defragment', trim: 'Trim' } as const;

function stepLine({ what, tier, intensity, state, reason, run }: StepView): string {
  const name = `${STEP_NAMES[what]}${tier ? ` ${tier}` : ''}`.padEnd(18);
  const parts: string[] = [state];
  if (run) {
    const { processedCount, plannedCount, doneCount, skippedCount, failedCount } = run;
    if (state === 'running') parts.push(`${processedCount} of ${plannedCount}`);
    parts.push(`${doneCount} done`);
    if (skippedCount > 0) parts.push(`${skippedCount} skipped`);
    if (failedCount > 0) parts.push(`${failedCount} failed`);
    if (run.unsupportedCount > 0) parts.push(`${run.unsupportedCount} unsupported`);
    if (what === 'trim') parts.push(`${formatBytes(run.reclaimedBytes)} reclaimed`);
    else parts.push(`${formatBytes(run.doneBytes)} moved`);
    if (state === 'running' && intensity) parts.push(`${intensity} intensity`);
    if (run.state === 'paused') parts.push('paused');
  }
  if (reason) parts.push(reason);
  return `${name} ${parts.join(', ')}`;
}

function comparison({ before, after }: ReclamationView): string[] {
  if (!after) return [];
  const ratioText = (ratio: number | null) => (ratio === null ? 'not known' : percent(ratio));
  return [
    `  Fragmented: ${ratioText(before.fragmentationRatio)} before, ${ratioText(after.fragmentationRatio)} after`,
    `  Waiting for a trim: ${formatBytes(before.pendingBytes)} before, ${formatBytes(after.pendingBytes)} after`,
  ];
}
