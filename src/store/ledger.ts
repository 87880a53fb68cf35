/**
 * The ledger of a pool; see src/domain/ledger.ts. Only ever appended to.
 *
 * The database itself refuses to change or remove an entry, and takes only the one that follows the
 * last. That stops mistakes; who can drop a trigger can also drop these, which `verify` then tells.
 */

import { createHash } from 'node:crypto';
import {
  type JsonObject,
  type LedgerEntry,
  type LedgerFilter,
  type LedgerHead,
  type LedgerProblem,
  type LedgerVerdict,
  type ReadEntry,
  readEntry,
  type StoredEntry,
  sealEntry,
  verifyLedger,
} from '../domain/ledger.js';
import { type Db, type StoreOptions, transaction } from './database.js';

/**
 * What the tables refuse. REPLACE deletes without asking a DELETE trigger, hence the ones on INSERT.
 * Each is kept by SQLite as it stands here, which `verify` compares.
 */
const GUARDS: readonly string[] = [
  `CREATE TRIGGER ledger_follows BEFORE INSERT ON ledger
WHEN NEW.entry_index IS NOT (SELECT entry_count + 1 FROM ledger_head)
  OR NEW.entry ->> 'index' IS NOT NEW.entry_index
  OR NEW.entry ->> 'previousHash' IS NOT (SELECT last_hash FROM ledger_head)
BEGIN SELECT RAISE(ABORT, 'the ledger takes only the entry that follows its last'); END`,
  `CREATE TRIGGER ledger_head_follows AFTER INSERT ON ledger
BEGIN UPDATE ledger_head SET entry_count = NEW.entry_index, last_hash = NEW.hash; END`,
  `CREATE TRIGGER ledger_unchanged BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'an entry of the ledger is never changed'); END`,
  `CREATE TRIGGER ledger_kept BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'an entry of the ledger is never removed'); END`,
  `CREATE TRIGGER ledger_head_true BEFORE UPDATE ON ledger_head
WHEN NEW.id IS NOT 1 OR NEW.entry_count IS NOT OLD.entry_count + 1
  OR NEW.last_hash IS NOT (SELECT hash FROM ledger WHERE entry_index = NEW.entry_count)
BEGIN SELECT RAISE(ABORT, 'the head of the ledger only follows an entry'); END`,
  `CREATE TRIGGER ledger_head_kept BEFORE DELETE ON ledger_head
BEGIN SELECT RAISE(ABORT, 'the head of the ledger is never removed'); END`,
  `CREATE TRIGGER ledger_head_single BEFORE INSERT ON ledger_head
BEGIN SELECT RAISE(ABORT, 'the ledger has one head'); END`,
];

/** The columns that are made of the entry only serve to find it; what is no JSON has none. */
export const LEDGER_STEP = `
CREATE TABLE ledger (
  entry_index INTEGER PRIMARY KEY,
  entry TEXT NOT NULL,
  hash TEXT NOT NULL,
  at_ms INTEGER AS (CASE WHEN json_valid(entry) THEN entry ->> 'atMs' END) VIRTUAL,
  event TEXT AS (CASE WHEN json_valid(entry) THEN entry ->> 'event' END) VIRTUAL
);
CREATE INDEX ledger_by_time ON ledger (at_ms);
CREATE TABLE ledger_head (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  entry_count INTEGER NOT NULL,
  last_hash TEXT
);
INSERT INTO ledger_head VALUES (1, 0, NULL);
${GUARDS.map((guard) => `${guard};`).join('\n')}
`;

const PAGE_ENTRIES = 500;

const MATCHES = `(@sinceMs IS NULL OR at_ms >= @sinceMs) AND (@event IS NULL OR event = @event)`;

/** Why a ledger has no entries from before its first. */
const BEGINNINGS = {
  created: 'the pool was made',
  upgraded:
    'the pool is from before there was a ledger: what was done to it earlier is not in here',
  recovered:
    'the catalogue was lost and rebuilt from the disks: the ledger before this entry was lost with it',
} as const;
type LedgerBeginning = keyof typeof BEGINNINGS;

/** What a store with a ledger is opened with. */
export interface LedgerOptions extends StoreOptions {
  /** Who is entered; absent where nothing is done that is entered. */
  readonly actor?: string;
  /** Why its ledger begins, if it does. */
  readonly beginning?: LedgerBeginning;
}

export interface NewLedgerEntry
  extends Pick<LedgerEntry, 'atMs' | 'event'>,
    Partial<Pick<LedgerEntry, 'reason' | 'runId' | 'reclamationId' | 'actor' | 'policyVersion'>> {
  /** Properties that are undefined are left out. */
  readonly figures?: { readonly [key: string]: unknown };
}

export class LedgerStore {
  /** Who is entered where nobody else is named: the user of this process, or the agent. */
  actor: string;
  /** Epoch milliseconds, for what is told without a time. */
  readonly now: () => number;
  readonly #db: Db;

  private constructor(db: Db, actor: string, clock: () => number) {
    this.#db = db;
    this.actor = actor;
    this.now = clock;
  }

  /** The ledger of a store that was just opened, which has an entry unless it is read only. */
  static open(db: Db, options: LedgerOptions): LedgerStore {
    const ledger = new LedgerStore(db, options.actor ?? 'dynamicfs', options.clock ?? Date.now);
    const beginning = options.beginning ?? (options.create ? 'created' : 'upgraded');
    if (!options.readonly) ledger.#begin(beginning, ledger.now());
    return ledger;
  }

  /** Makes the first entry, which says why there are none before it. Nothing when there is one. */
  #begin(beginning: LedgerBeginning, atMs: number): void {
    if (this.head()?.entryCount !== 0) return;
    transaction(this.#db, () => {
      if (this.head()?.entryCount !== 0) return;
      this.append({
        ...{ atMs, event: 'ledger-began', reason: BEGINNINGS[beginning], policyVersion: null },
        figures: { beginning },
      });
    });
  }

  /**
   * Safe while: in the transaction that does what the entry tells; on its own it is one.
   *
   * @param entry without a policy version: the one that holds now.
   * @returns its index.
   * @throws MaintenanceError ERR_STORE when the head was removed or is not that of the last entry.
   */
  append(entry: NewLedgerEntry): number {
    return transaction(this.#db, () => {
      const { entryCount, lastHash } = this.head() ?? { entryCount: 0, lastHash: null };
      const index = entryCount + 1;
      const { text, hash } = sealEntry(
        {
          index,
          atMs: entry.atMs,
          event: entry.event,
          actor: entry.actor ?? this.actor,
          reason: entry.reason ?? null,
          policyVersion:
            entry.policyVersion === undefined ? this.#policyVersion() : entry.policyVersion,
          runId: entry.runId ?? null,
          reclamationId: entry.reclamationId ?? null,
          figures: (entry.figures ?? {}) as JsonObject,
          previousHash: lastHash,
        },
        sha256,
      );
      this.#db
        .prepare('INSERT INTO ledger (entry_index, entry, hash) VALUES (?, ?, ?)')
        .run(index, text, hash);
      return index;
    });
  }

  /** @returns null when somebody removed it. */
  head(): LedgerHead | null {
    const sql = `SELECT entry_count AS entryCount, last_hash AS lastHash FROM ledger_head
      WHERE id = 1`;
    return (this.#db.prepare(sql).get() as LedgerHead | undefined) ?? null;
  }

  /**
   * The oldest first, a page at a time: however many there are, few are in memory, and whoever takes
   * long to read them holds no transaction open. What is appended meanwhile is not among them.
   */
  *entries(filter: LedgerFilter): Generator<ReadEntry> {
    const wanted = { sinceMs: filter.sinceMs ?? null, event: filter.event ?? null };
    const lastIndex = this.head()?.entryCount ?? Number.MAX_SAFE_INTEGER;
    const page = this.#db.prepare(
      `SELECT entry_index AS "index", entry AS text, hash FROM ledger
       WHERE entry_index > @after AND entry_index <= @lastIndex AND ${MATCHES}
       ORDER BY entry_index LIMIT ${PAGE_ENTRIES}`,
    );
    for (let after = this.#firstIndex(filter) - 1; ; ) {
      const rows = page.all({ ...wanted, after, lastIndex }) as StoredEntry[];
      yield* rows.map(readEntry);
      if (rows.length < PAGE_ENTRIES) return;
      after = rows.at(-1)?.index ?? lastIndex;
    }
  }

  /** Where to begin, so that nothing that is not asked for is read: by time, and by how many. */
  #firstIndex({ sinceMs, event, limit }: LedgerFilter): number {
    const since = 'SELECT COALESCE(MIN(entry_index), 1) FROM ledger WHERE at_ms >= ?';
    const earliest = (
      sinceMs === undefined ? 1 : this.#db.prepare(since).pluck().get(sinceMs)
    ) as number;
    if (limit === undefined) return earliest;
    const wanted = { sinceMs: sinceMs ?? null, event: event ?? null };
    return this.#db
      .prepare(
        `SELECT COALESCE(MIN(entry_index), 1) FROM (SELECT entry_index FROM ledger
           WHERE entry_index >= @earliest AND ${MATCHES} ORDER BY entry_index DESC LIMIT @limit)`,
      )
      .pluck()
      .get({ ...wanted, earliest, limit }) as number;
  }

  /** Reads all of it, as of one moment, an entry at a time. @param expected kept elsewhere. */
  verify(expected: LedgerHead | null = null): LedgerVerdict {
    const check = () => {
      const head = this.head();
      const sql = 'SELECT entry_index AS "index", entry AS text, hash FROM ledger ORDER BY 1';
      const rows = this.#db.prepare(sql).iterate() as IterableIterator<StoredEntry>;
      const verdict = verifyLedger(rows, head, sha256, expected);
      return { ...verdict, problem: verdict.problem ?? this.#unguarded() };
    };
    return this.#db.inTransaction ? check() : this.#db.transaction(check).deferred();
  }

  #unguarded(): LedgerProblem | null {
    const sql = `SELECT sql FROM sqlite_schema
      WHERE type = 'trigger' AND tbl_name IN ('ledger', 'ledger_head')`;
    const there = new Set(this.#db.prepare(sql).pluck().all());
    if (there.size === GUARDS.length && GUARDS.every((guard) => there.has(guard))) return null;
    const message = 'the triggers that keep the ledger from being changed were changed';
    return { kind: 'unguarded', index: null, message };
  }

  #policyVersion(): number {
    const sql = 'SELECT COALESCE(MAX(version), 0) FROM policies';
    return this.#db.prepare(sql).pluck().get() as number;
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}
