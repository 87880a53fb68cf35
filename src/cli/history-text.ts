/** The ledger as lines for people: what was done, its figures, and why. */

import { formatDuration } from '../domain/durations.js';
import type { JsonObject, LedgerEntry, LedgerHead, ReadEntry } from '../domain/ledger.js';
import { formatBytes } from '../domain/units.js';
import { counted, printable } from './printable.js';
import type { Output } from './schemas.js';

const INDEX_CHARS = 6;
const TIME_CHARS = 19;
const ACTOR_CHARS = 12;

export function historyHeading(): string {
  return row('#', 'TIME (UTC)', 'WHO', 'WHAT');
}

export function entryText({ index, entry }: ReadEntry): string {
  if (!entry) return row(String(index), '?', '?', 'unreadable: see `dynamicfs history verify`');
  const at = new Date(entry.atMs).toISOString().slice(0, TIME_CHARS).replace('T', ' ');
  const why = entry.reason === null ? '' : ` — ${printable(entry.reason)}`;
  return row(String(index), at, printable(entry.actor), `${printable(whatText(entry))}${why}`);
}

function headText({ entryCount, lastHash }: LedgerHead): string {
  return lastHash === null ? 'none' : `${entryCount}:${lastHash}`;
}

export function verdictText(path: string, verdict: Output<'history verify'>): string {
  const { whole, entryCount, head, expected, problem } = verdict;
  const lines = [
    `Ledger of ${printable(path)}: ${whole ? 'whole' : 'BROKEN'}`,
    `  Entries: ${entryCount}`,
    `  Head: ${head ? headText(head) : 'missing'}`,
  ];
  if (expected) lines.push(`  Expected: ${headText(expected)}`);
  if (problem) {
    lines.push(`  Problem: ${problem.message}`);
    if (problem.index !== null) lines.push(`  First wrong entry: ${problem.index}`);
  } else if (expected) {
    lines.push(
      `  The first ${counted(expected.entryCount, 'entry').replace('ys', 'ies')} are as they were.`,
    );
  }
  return lines.join('\n');
}

function row(index: string, time: string, actor: string, what: string): string {
  return `${index.padStart(INDEX_CHARS)}  ${time.padEnd(TIME_CHARS)}  ${actor.padEnd(ACTOR_CHARS)}  ${what}`;
}

function whatText({ event, runId, reclamationId, figures }: LedgerEntry): string {
  const run = `${String(figures.kind)} run ${runId}`;
  switch (event) {
    case 'ledger-began':
      return 'ledger began';
    case 'run-began':
      return `${run} began${listed([textOf(figures.trigger), textOf(figures.disk), planText(figures)])}`;
    case 'run-paused':
      return `${run} paused${typeof figures.untilMs === 'number' ? ` until ${timeText(figures.untilMs)}` : ''}`;
    case 'run-resumed':
      return `${run} resumed`;
    case 'run-changed':
      return `${run} changed${listed([textOf(figures.intensity)])}`;
    case 'run-ended':
      return `${run} ${String(figures.state)}${endText(figures)}`;
    case 'run-late-work':
      return `${run} finished what was under way${listed(scalars(figures, ['kind']))}`;
    case 'policy-set':
      return `policy ${String(figures.oldVersion)} → ${String(figures.newVersion)}${listed([presetOf(figures)])}`;
    case 'replica-bad':
    case 'replica-repaired':
    case 'replica-unrepairable':
      return `replica ${event.slice('replica-'.length)}: ${String(figures.object)}#${String(figures.extentIndex)} on ${String(figures.disk)}`;
    case 'disk-added':
    case 'disk-removed':
      return `disk ${event.slice('disk-'.length)}: ${String(figures.disk)}`;
    case 'disk-state':
      return `disk ${String(figures.disk)}: ${String(figures.before)} → ${String(figures.state)}`;
    default:
      return `${event.replace('-', ` ${reclamationId ?? ''} `)}${listed(scalars(figures, []))}`;
  }
}

function planText({ plannedCount, plannedBytes }: JsonObject): string | null {
  if (typeof plannedCount !== 'number' || plannedCount === 0) return null;
  return `planned ${plannedCount}, ${formatBytes(Number(plannedBytes))}`;
}

/** What was done, and what was not, and how long it took; of a trim its receipt. */
function endText({ progress, receipt, durationMs }: JsonObject): string {
  const { doneCount, doneBytes, skippedCount, failedCount } = objectOf(progress);
  const { askedBytes, confirmedBytes, reclaimedBytes } = objectOf(receipt);
  const done =
    askedBytes === undefined
      ? `${String(doneCount)} done, ${formatBytes(Number(doneBytes))}`
      : `asked ${formatBytes(Number(askedBytes))}, confirmed ${formatBytes(Number(confirmedBytes))}, reclaimed ${formatBytes(Number(reclaimedBytes))}`;
  return `${listed([
    done,
    Number(skippedCount) > 0 ? `${Number(skippedCount)} skipped` : null,
    Number(failedCount) > 0 ? `${Number(failedCount)} failed` : null,
    typeof durationMs === 'number' ? formatDuration(durationMs) : null,
  ])}`;
}

/** The plain figures, by their names; those of bytes and time with their units. */
function scalars(figures: JsonObject, without: readonly string[]): string[] {
  return Object.entries(figures).flatMap(([key, value]) => {
    if (without.includes(key) || value === null || typeof value === 'object') return [];
    if (typeof value === 'number' && key.endsWith('Bytes')) {
      return [`${key.slice(0, -'Bytes'.length)} ${formatBytes(value)}`];
    }
    if (typeof value === 'number' && key.endsWith('AtMs')) return [`${key} ${timeText(value)}`];
    if (typeof value === 'number' && key.endsWith('Ms')) {
      return [`${key.slice(0, -'Ms'.length)} ${formatDuration(value)}`];
    }
    return [`${key.replace(/Count$/, '')} ${String(value)}`];
  });
}

function listed(parts: readonly (string | null)[]): string {
  const shown = parts.filter((part) => part !== null);
  return shown.length === 0 ? '' : ` (${shown.join('; ')})`;
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function presetOf({ document }: JsonObject): string | null {
  return textOf(objectOf(document).preset);
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function timeText(atMs: number): string {
  const date = new Date(atMs);
  return Number.isNaN(date.getTime()) ? '?' : date.toISOString().slice(0, 16).replace('T', ' ');
}
