/**
 * The chain of a ledger: whatever one change does to it is seen, at the entry where it begins.
 *
 * Strategy: random ledgers, and on each every kind of change that somebody may make to the rows. A
 * failing run prints its seed; `fc.assert(..., { seed })` repeats it.
 */

import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  canonicalJson,
  type Json,
  type JsonObject,
  LEDGER_EVENTS,
  type LedgerEntry,
  type LedgerHead,
  sealEntry,
  verifyLedger,
} from '../../src/domain/ledger.js';

const sha256 = (text: string) => createHash('sha256').update(text, 'utf8').digest('hex');

interface Row {
  index: number;
  text: string;
  hash: string;
}

type Content = Omit<LedgerEntry, 'index' | 'previousHash'>;

function chain(contents: readonly Content[], after: readonly Row[] = []): Row[] {
  const rows = [...after];
  for (const content of contents) {
    const last = rows.at(-1);
    const index = (last?.index ?? 0) + 1;
    rows.push({
      index,
      ...sealEntry({ ...content, index, previousHash: last?.hash ?? null }, sha256),
    });
  }
  return rows;
}

function headOf(rows: readonly Row[]): LedgerHead {
  return { entryCount: rows.length, lastHash: rows.at(-1)?.hash ?? null };
}

const contents = fc.array(
  fc.record({
    atMs: fc.nat(),
    event: fc.constantFrom(...LEDGER_EVENTS),
    actor: fc.string({ unit: 'binary' }),
    reason: fc.option(fc.string({ unit: 'grapheme' })),
    policyVersion: fc.option(fc.nat()),
    runId: fc.option(fc.nat()),
    reclamationId: fc.option(fc.nat()),
    figures: fc.dictionary(fc.string(), fc.jsonValue() as fc.Arbitrary<Json>),
  }) as fc.Arbitrary<Content>,
  { minLength: 2, maxLength: 12 },
);

/** A ledger and the place of one of its entries, from 0. */
const ledgerAndPlace = contents.chain((some) =>
  fc.tuple(fc.constant(chain(some)), fc.nat({ max: some.length - 1 })),
);

function changed(row: Row, change: (entry: Record<string, unknown>) => void): string {
  const entry = JSON.parse(row.text);
  change(entry);
  return canonicalJson(entry);
}

describe('a ledger', () => {
  it('is whole as it was written, with its head and with every head that it ever had', () => {
    fc.assert(
      fc.property(ledgerAndPlace, ([rows, place]) => {
        const earlier = headOf(rows.slice(0, place + 1));
        const verdict = verifyLedger(rows, headOf(rows), sha256, earlier);
        expect(verdict).toMatchObject({ entryCount: rows.length, problem: null });
      }),
    );
  });

  it('shows a changed figure, reason, time or actor at its entry', () => {
    const change = fc.constantFrom<[string, unknown]>(
      ['figures', { doneBytes: -7 }],
      ['reason', 'no reason at all'],
      ['actor', 'somebody else'],
      ['atMs', -1],
    );
    fc.assert(
      fc.property(ledgerAndPlace, change, ([rows, place], [key, value]) => {
        const row = rows[place] as Row;
        const text = changed(row, (entry) => {
          entry[key] = value;
        });
        const tampered = rows.with(place, { ...row, text });
        const { problem } = verifyLedger(tampered, headOf(rows), sha256);
        expect(problem).toMatchObject({ kind: 'changed', index: place + 1 });
      }),
    );
  });

  it('shows an entry that was changed with its hash by what follows it, or by the head', () => {
    fc.assert(
      fc.property(ledgerAndPlace, ([rows, place]) => {
        const row = rows[place] as Row;
        const text = changed(row, (entry) => {
          entry.reason = 'no reason at all';
        });
        const tampered = rows.with(place, { ...row, text, hash: sha256(text) });
        const { problem } = verifyLedger(tampered, headOf(rows), sha256);
        const isLast = place === rows.length - 1;
        expect(problem).toMatchObject(
          isLast
            ? { kind: 'head-differs', index: rows.length }
            : { kind: 'unchained', index: place + 2 },
        );
      }),
    );
  });

  it('shows a removed entry, also when the ones after it were moved up', () => {
    fc.assert(
      fc.property(ledgerAndPlace, fc.boolean(), ([rows, place], movedUp) => {
        const left = rows.toSpliced(place, 1);
        const tampered = movedUp ? left.map((row, at) => ({ ...row, index: at + 1 })) : left;
        const { entryCount, problem } = verifyLedger(tampered, headOf(rows), sha256);
        expect(entryCount).toBe(rows.length - 1);
        const kind = place === rows.length - 1 ? 'tail-removed' : movedUp ? 'misplaced' : 'missing';
        expect(problem).toMatchObject({ kind, index: place + 1 });
      }),
    );
  });

  it('shows entries that changed places', () => {
    fc.assert(
      fc.property(contents, ([...some]) => {
        const rows = chain(some);
        const [a, b] = [rows[0] as Row, rows[1] as Row];
        const swapped = [{ ...b, index: 1 }, { ...a, index: 2 }, ...rows.slice(2)];
        const { problem } = verifyLedger(swapped, headOf(rows), sha256);
        expect(problem).toMatchObject({ kind: 'misplaced', index: 1 });
      }),
    );
  });

  it('shows a tail that was written anew by its head, and with a new head by one kept elsewhere', () => {
    fc.assert(
      fc.property(ledgerAndPlace, contents, ([rows, place], others) => {
        const kept = headOf(rows);
        const untrue = rows.slice(place).map((_, at) => ({
          ...(others[at % others.length] as Content),
          actor: 'the writer of false entries',
        }));
        const anew = chain(untrue, rows.slice(0, place));
        expect(verifyLedger(anew, kept, sha256).problem?.kind).toBe('head-differs');
        // What an attacker can do who may write to the database: docs/ledger.md says so.
        expect(verifyLedger(anew, headOf(anew), sha256).problem).toBe(null);
        expect(verifyLedger(anew, headOf(anew), sha256, kept).problem).toMatchObject({
          kind: 'expected-differs',
          index: rows.length,
        });
      }),
    );
  });

  it('that was cut with its head lacks the entry that is expected', () => {
    fc.assert(
      fc.property(ledgerAndPlace, ([rows, place]) => {
        const cut = rows.slice(0, place);
        const { problem } = verifyLedger(cut, headOf(cut), sha256, headOf(rows));
        expect(problem).toMatchObject({ kind: 'expected-missing', index: rows.length });
      }),
    );
  });

  it.each([
    ['no JSON', 'not json', 'unreadable'],
    ['another way to write the same', '{"a": 1}', 'unreadable'],
    ['a list', '[]', 'changed'],
    ['a blob', new Uint8Array([1]), 'unreadable'],
    ['nothing', null, 'unreadable'],
  ])('shows %s in the place of an entry', (_, text, kind) => {
    const rows = chain([sample(), sample()]);
    const tampered = [{ ...(rows[0] as Row), text }, ...rows.slice(1)];
    expect(verifyLedger(tampered, headOf(rows), sha256).problem).toMatchObject({ kind, index: 1 });
  });

  it('shows that its head is gone, and entries beyond the head', () => {
    const rows = chain([sample(), sample()]);
    expect(verifyLedger(rows, null, sha256).problem?.kind).toBe('head-missing');
    expect(verifyLedger(rows, headOf(rows.slice(0, 1)), sha256).problem).toMatchObject({
      kind: 'head-differs',
      index: 2,
    });
    const none = { entryCount: 0, lastHash: null };
    expect(verifyLedger([], none, sha256, none)).toMatchObject({ entryCount: 0, problem: null });
  });
});

function sample(figures: JsonObject = {}): Content {
  return {
    ...{ atMs: 1, event: 'run-began', actor: 'root', reason: null, policyVersion: 0 },
    ...{ runId: null, reclamationId: null, figures },
  };
}

describe('canonical JSON', () => {
  it('is the same for the same value, however its keys are ordered, and reads back as it was', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalJson(value);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
        expect(canonicalJson(JSON.parse(text))).toBe(text);
        expect(canonicalJson(reversed(value))).toBe(text);
      }),
    );
  });

  it('is written as RFC 8785 does', () => {
    const value = { '\u20ac': 1e30, '\r': '\u20ac$\u000f\nA"/', b: [-0, 1e-27, 4.5], a: undefined };
    expect(canonicalJson(value)).toBe(
      '{"\\r":"\u20ac$\\u000f\\nA\\"/","b":[0,1e-27,4.5],"\u20ac":1e+30}',
    );
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, 10n, () => 1, [undefined]])(
    'refuses %s',
    (value) => {
      expect(() => canonicalJson(value)).toThrow(
        expect.objectContaining({ code: 'ERR_INVARIANT' }),
      );
    },
  );
});

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).reverse();
  return Object.fromEntries(entries.map(([key, child]) => [key, reversed(child)]));
}
