/** How `policy explain` is shown to people. */

import { formatDuration } from '../domain/durations.js';
import { formatBytes } from '../domain/units.js';
import type { Output } from './schemas.js';
import { tableText } from './text.js';

type Explained = Output<'policy explain'>;

export function policyExplainText(view: Explained): string {
  const { policy, begins, holds, triggers, tiers } = view;
  const name = policy.file ?? `version ${policy.version}`;
  return [
    `Policy ${policy.preset} (${name})`,
    begins
      ? `Begins now: ${begins.trigger} (${begins.scope}): ${begins.reason}`
      : 'Nothing begins now.',
    ...(holds.length === 0 ? [] : ['', 'Held:', ...holds.map(holdLine)]),
    '',
    tableText([
      ['TRIGGER', 'SCOPE', 'STATE', 'WHY'],
      ...triggers.map(({ trigger, scope, state, reason }) => [trigger, scope, state, reason]),
    ]),
    '',
    ...limitLines(view),
    '',
    'A whole reclamation would, by what is known now:',
    tableText([
      ['TIER', 'DEFRAG', 'WHY', 'TRIM', 'WHY'],
      ...tiers.map(({ tier, defrag, trim }) => [
        tier,
        defrag.moves ? `${defrag.intensity}, ${defrag.threadCount} threads` : 'no',
        defrag.reason,
        trim.trims ? trim.intensity : 'no',
        trim.reason,
      ]),
    ]),
  ].join('\n');
}

function holdLine({ reason, triggers }: Explained['holds'][number]): string {
  return `  ${reason} (${triggers.join(', ')})`;
}

function limitLines({
  policy,
  windows,
  quietUntilMs,
  wornTodayBytes,
  adaptive,
  payback,
  atMs,
}: Explained) {
  const { timeBudgetMs, wearBudgetBytesPerDay } = policy;
  const ahead = (thenMs: number | null) =>
    thenMs === null ? 'not in sight' : `in ${formatDuration(thenMs - atMs)}`;
  const worn = wornTodayBytes === null ? 'not known' : formatBytes(wornTodayBytes);
  const lines = [
    `Quiet hours: ${quietUntilMs === null ? 'not now' : `they end ${ahead(quietUntilMs)}`}`,
    `Windows: ${windows ? windowText(windows, ahead) : 'any time'}`,
    `Time budget: ${timeBudgetMs === null ? 'none' : `${formatDuration(timeBudgetMs)} a reclamation`}`,
    `Wear budget: ${worn} rewritten today (UTC), of ${wearBudgetBytesPerDay === null ? 'any amount' : formatBytes(wearBudgetBytesPerDay)}`,
  ];
  if (payback) lines.push(`Payback: ${payback.reason}`);
  if (adaptive) lines.push(`Adaptive: ${adaptive.reason}`);
  return lines;
}

function windowText(
  { openUntilMs, opensAtMs }: NonNullable<Explained['windows']>,
  ahead: (thenMs: number | null) => string,
): string {
  const now = openUntilMs === null ? 'closed now' : `open now, closes ${ahead(openUntilMs)}`;
  return `${now}, the next opens ${ahead(opensAtMs)}`;
}
