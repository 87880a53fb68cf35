/** `history`: reads the ledger of a pool and checks it; changes nothing. */

import { once } from 'node:events';
import { parseDurationMs } from '../domain/durations.js';
import { MaintenanceError } from '../domain/errors.js';
import {
  LEDGER_EVENTS,
  type LedgerEvent,
  type LedgerFilter,
  type LedgerHead,
  type ReadEntry,
} from '../domain/ledger.js';
import { entryText, historyHeading } from './history-text.js';
import { withAnyPool } from './pool-access.js';
import type { Output } from './schemas.js';

/** Lines that are written at a time. */
const LINES_AT_A_TIME = 100;

/** Writes it piece by piece: a ledger may be longer than memory. @returns how many were shown. */
export function printHistory(path: string, filter: LedgerFilter, json: boolean): Promise<number> {
  return withAnyPool(path, 'read', async (pool) => {
    const { ledger } = pool.context.store;
    return await writeOut(
      json ? jsonPieces(ledger.entries(filter), ledger.head()) : textPieces(ledger.entries(filter)),
    );
  });
}

export function verifyHistory(
  path: string,
  expected: LedgerHead | null,
): Promise<Output<'history verify'>> {
  return withAnyPool(path, 'read', (pool) => {
    const { ledger } = pool.context.store;
    const { entryCount, head, problem } = ledger.verify(expected);
    return {
      schemaVersion: 1,
      whole: problem === null,
      entryCount,
      head: head && { ...head },
      expected: expected && { ...expected },
      problem: problem && { ...problem },
    };
  });
}

/** `128:9f86d0…`, as `history verify` prints it. @throws MaintenanceError ERR_USAGE. */
export function parseHead(text: string): LedgerHead {
  const [, count, lastHash] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text.trim()) ?? [];
  if (lastHash !== undefined && Number(count) > 0) return { entryCount: Number(count), lastHash };
  throw new MaintenanceError('ERR_USAGE', `not the head of a ledger: "${text}"`, {
    nextStep: 'Give the head that `dynamicfs history verify` printed: a number, a colon, a hash.',
  });
}

/** @throws MaintenanceError ERR_USAGE naming the events that there are. */
export function parseEvent(text: string): LedgerEvent {
  const event = LEDGER_EVENTS.find((known) => known === text);
  if (event) return event;
  throw new MaintenanceError('ERR_USAGE', `unknown event: "${text}"`, {
    nextStep: `Choose one of ${LEDGER_EVENTS.join(', ')}.`,
  });
}

/**
 * A time (UTC unless it names a zone), or how long ago: `2026-11-01`, `2026-11-01T10:30`, `2h`, `7d`.
 *
 * @throws MaintenanceError ERR_USAGE.
 */
export function parseSinceMs(text: string, nowMs: number): number {
  if (/^\s*[\d.]+\s*[a-z]+\s*$/.test(text)) return nowMs - parseDurationMs(text);
  const zoned = /(Z|[+-]\d\d:?\d\d)$/.test(text) || !text.includes(':') ? text : `${text}Z`;
  const atMs = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(zoned.replace(' ', 'T')) : Number.NaN;
  if (Number.isFinite(atMs)) return atMs;
  throw new MaintenanceError('ERR_USAGE', `not a time: "${text}"`, {
    nextStep: 'Write it as 2026-11-01, 2026-11-01T10:30 (UTC), or how long ago: 2h, 7d.',
  });
}

interface Piece {
  readonly text: string;
  readonly entryCount: number;
}

function* textPieces(entries: Iterable<ReadEntry>): Generator<Piece> {
  let heading = `${historyHeading()}\n`;
  for (const lines of grouped(entries)) {
    const text = lines.map((entry) => `${entryText(entry)}\n`).join('');
    yield { text: heading + text, entryCount: lines.length };
    heading = '';
  }
}

/** As `--json` prints it elsewhere, but for the space in the entries, of which each is a line. */
function* jsonPieces(entries: Iterable<ReadEntry>, head: LedgerHead | null): Generator<Piece> {
  yield { text: '{\n  "schemaVersion": 1,\n  "entries": [', entryCount: 0 };
  let separator = '\n    ';
  for (const group of grouped(entries)) {
    const texts = group.map((entry) => JSON.stringify(entryView(entry)));
    yield { text: separator + texts.join(',\n    '), entryCount: group.length };
    separator = ',\n    ';
  }
  yield { text: `\n  ],\n  "head": ${JSON.stringify(head)}\n}\n`, entryCount: 0 };
}

function entryView({ index, entry, hash }: ReadEntry): Output<'history'>['entries'][number] {
  return entry
    ? { ...entry, figures: { ...entry.figures }, hash }
    : { index, unreadable: true, hash };
}

function* grouped<T>(items: Iterable<T>): Generator<T[]> {
  let group: T[] = [];
  for (const item of items) {
    group.push(item);
    if (group.length < LINES_AT_A_TIME) continue;
    yield group;
    group = [];
  }
  if (group.length > 0) yield group;
}

/** Waits for a reader that is slow; one that wants no more, as `head`, ends it. */
async function writeOut(pieces: Iterable<Piece>): Promise<number> {
  let shown = 0;
  for (const { text, entryCount } of pieces) {
    shown += entryCount;
    if (process.stdout.write(text)) continue;
    try {
      await once(process.stdout, 'drain');
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'EPIPE') return shown;
      throw cause;
    }
  }
  return shown;
}
