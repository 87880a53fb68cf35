/**
 * The ledger of a pool: what was done to it, by whom or what, why, with figures; each entry carries
 * the hash of the one before. Pure: whoever calls brings the hash function and the clock.
 *
 * An entry is kept as canonical JSON (RFC 8785), and its hash is that of these very bytes, so that
 * anybody can check a ledger with a SHA-256 tool alone. docs/ledger.md says what that proves.
 */

import { InvariantError } from './errors.js';

export const LEDGER_EVENTS = [
  'ledger-began',
  'run-began',
  'run-paused',
  'run-resumed',
  'run-changed',
  'run-ended',
  'run-late-work',
  'reclamation-began',
  'reclamation-paused',
  'reclamation-resumed',
  'reclamation-ended',
  'payback-measured',
  'policy-set',
  'replica-bad',
  'replica-repaired',
  'replica-unrepairable',
  'disk-added',
  'disk-removed',
  'disk-state',
] as const;
export type LedgerEvent = (typeof LEDGER_EVENTS)[number];

/** What the agent does by itself, without anybody who asked. */
export const AGENT_ACTOR = 'agent';

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

export interface LedgerEntry {
  /** 1 for the first. */
  readonly index: number;
  readonly atMs: number;
  readonly event: LedgerEvent;
  readonly actor: string;
  /** Why, for people; null where nobody said. */
  readonly reason: string | null;
  /** The policy that held; null where none has a say, 0 for the default that nobody set. */
  readonly policyVersion: number | null;
  readonly runId: number | null;
  readonly reclamationId: number | null;
  readonly figures: JsonObject;
  /** Null for the first. */
  readonly previousHash: string | null;
}

/** SHA-256 of the UTF-8 bytes of a text, in lower-case hex. */
export type Digest = (text: string) => string;

/** As it is kept; anything, once somebody has changed it. */
export interface StoredEntry {
  readonly index: number;
  readonly text: unknown;
  readonly hash: unknown;
}

/** An entry as it is shown: null where what is kept is no entry any more. */
export interface ReadEntry {
  readonly index: number;
  readonly entry: LedgerEntry | null;
  /** As it is kept. */
  readonly hash: string;
}

/** Which entries are asked for; absent: all. */
export interface LedgerFilter {
  /** The newest so many of those that match. */
  readonly limit?: number;
  readonly sinceMs?: number;
  readonly event?: LedgerEvent;
}

/** How many entries there are and the hash of the last: whoever keeps it elsewhere can prove both. */
export interface LedgerHead {
  readonly entryCount: number;
  /** Null while there is no entry. */
  readonly lastHash: string | null;
}

export const LEDGER_PROBLEMS = [
  'missing',
  'unreadable',
  'changed',
  'misplaced',
  'unchained',
  'tail-removed',
  'head-missing',
  'head-differs',
  'unguarded',
  'expected-missing',
  'expected-differs',
] as const;

export interface LedgerProblem {
  readonly kind: (typeof LEDGER_PROBLEMS)[number];
  /** The first entry that is wrong; null where it is no single one. */
  readonly index: number | null;
  readonly message: string;
}

export interface LedgerVerdict {
  /** Entries that are there. */
  readonly entryCount: number;
  /** Null when it is gone. */
  readonly head: LedgerHead | null;
  /** The first problem; null for a ledger that is whole. */
  readonly problem: LedgerProblem | null;
}

/**
 * JSON with one way to write each value: keys by their UTF-16 units, no space, numbers as ECMAScript
 * writes them. A property that is undefined is left out.
 *
 * @throws InvariantError for what JSON cannot say: NaN, infinities, functions, big integers.
 *
 * Source: RFC 8785.
 */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') {
    return JSON.stringify(value);
  }
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return JSON.stringify(value);
    throw new InvariantError(`no JSON for the number ${value}`);
  }
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object') throw new InvariantError(`no JSON for a ${typeof value}`);
  const parts = Object.entries(value)
    .filter(([, child]) => child !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, child]) => `${JSON.stringify(key)}:${canonicalJson(child)}`);
  return `{${parts.join(',')}}`;
}

/** @returns the text that is kept of an entry, and its hash. */
export function sealEntry(entry: LedgerEntry, digest: Digest): { text: string; hash: string } {
  const text = canonicalJson(entry);
  return { text, hash: digest(text) };
}

/**
 * Follows the chain from its first entry to its head.
 *
 * @param rows by their index; read one at a time, none is kept.
 * @param expected what somebody kept elsewhere: that entry must still be there, the same.
 */
export function verifyLedger(
  rows: Iterable<StoredEntry>,
  head: LedgerHead | null,
  digest: Digest,
  expected: LedgerHead | null = null,
): LedgerVerdict {
  let entryCount = 0;
  let previousHash: string | null = null;
  let first: LedgerProblem | null = null;
  let seenHash: string | null = null;
  for (const row of rows) {
    first ??= problemOf(row, entryCount + 1, previousHash, digest);
    entryCount += 1;
    previousHash = typeof row.hash === 'string' ? row.hash : null;
    if (row.index === expected?.entryCount) seenHash = previousHash;
  }
  first ??= headProblem(head, entryCount, previousHash);
  first ??= expectedProblem(expected, entryCount, seenHash);
  return { entryCount, head, problem: first };
}

function problemOf(
  { index, text, hash }: StoredEntry,
  place: number,
  previousHash: string | null,
  digest: Digest,
): LedgerProblem | null {
  const problem = (kind: LedgerProblem['kind'], message: string) => ({
    kind,
    index: place,
    message,
  });
  if (index !== place) {
    return problem('missing', `entry ${place} is missing: entry ${index} is in its place`);
  }
  const entry = typeof text === 'string' ? parsed(text) : null;
  if (typeof text !== 'string' || entry === null) {
    return problem('unreadable', `entry ${place} is not canonical JSON`);
  }
  if (digest(text) !== hash) {
    return problem('changed', `entry ${place} was changed: it does not have the hash beside it`);
  }
  if (entry.index !== place) {
    return problem('misplaced', `entry ${place} was written as entry ${String(entry.index)}`);
  }
  if (entry.previousHash === previousHash) return null;
  return problem(
    'unchained',
    `entry ${place} does not follow entry ${place - 1}: one of the two was rewritten`,
  );
}

/** For showing it, whether or not it is what was written. @returns null for what is no entry. */
export function readEntry({ index, text, hash }: StoredEntry): ReadEntry {
  const entry = typeof text === 'string' ? parsed(text) : null;
  const isEntry = typeof entry?.event === 'string' && typeof entry.atMs === 'number';
  return { index, entry: isEntry ? (entry as LedgerEntry) : null, hash: String(hash) };
}

/** @returns null for what is not an object, or not written in the one way. */
function parsed(text: string): Partial<LedgerEntry> | null {
  try {
    const value = JSON.parse(text);
    return typeof value === 'object' && value !== null && canonicalJson(value) === text
      ? value
      : null;
  } catch {
    return null;
  }
}

function headProblem(
  head: LedgerHead | null,
  entryCount: number,
  lastHash: string | null,
): LedgerProblem | null {
  if (head === null) {
    const message = 'the record of how many entries there are is gone';
    return { kind: 'head-missing', index: null, message };
  }
  if (head.entryCount > entryCount) {
    return {
      kind: 'tail-removed',
      index: entryCount + 1,
      message: `entries from ${entryCount + 1} to ${head.entryCount} were removed`,
    };
  }
  if (head.entryCount === entryCount && head.lastHash === lastHash) return null;
  return {
    kind: 'head-differs',
    index: head.entryCount < entryCount ? head.entryCount + 1 : entryCount,
    message: `entries were rewritten: the last of ${entryCount} is not the one that was recorded as number ${head.entryCount}`,
  };
}

function expectedProblem(
  expected: LedgerHead | null,
  entryCount: number,
  seenHash: string | null,
): LedgerProblem | null {
  if (expected === null || expected.entryCount === 0) return null;
  const { entryCount: index, lastHash } = expected;
  if (index > entryCount) {
    const message = `entry ${index}, which is expected, is missing: there are ${entryCount}`;
    return { kind: 'expected-missing', index, message };
  }
  if (seenHash === lastHash) return null;
  const message = `entry ${index} is not the expected one: it, or one before, was rewritten`;
  return { kind: 'expected-differs', index, message };
}
