/**
 * The ledger in its database: what SQL is refused, and what `verify` sees of that which somebody did
 * nevertheless, after dropping the triggers. Real files, changed over a connection of their own.
 */

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, describe, expect, it } from 'vitest';
import { openDatabase } from '../../src/store/database.js';
import { FsPoolStore } from '../../src/store/fs-pool-store.js';
import { LEDGER_STEP } from '../../src/store/ledger.js';
import { PoolStore } from '../../src/store/pool-store.js';
import { FS_POOL_SCHEMA_STEPS, POOL_SCHEMA_STEPS } from '../../src/store/schema.js';
import { tempDirectory } from '../support/temp-directory.js';

const open: { close(): void }[] = [];
afterEach(() => {
  for (const store of open.splice(0)) store.close();
});

function ledgerOf(entryCount: number): { store: PoolStore; path: string } {
  const path = join(tempDirectory('ledger'), 'pool.sqlite');
  const store = new PoolStore(path, { create: true, actor: 'alice' });
  open.push(store);
  for (let index = 2; index <= entryCount; index += 1) {
    store.ledger.append({ atMs: index, event: 'run-began', figures: { doneBytes: index } });
  }
  return { store, path };
}

/** As somebody does who has the file and the sqlite3 program. */
function sqlite(path: string, sql: string): string {
  return execFileSync('sqlite3', [path, sql], { encoding: 'utf8', stdio: 'pipe' });
}

/** Takes the guards away, changes something and puts them back. */
function tamper(path: string, sql: string): void {
  const db = new Database(path);
  const guards = db
    .prepare(
      "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name GLOB 'ledger*'",
    )
    .all() as { name: string; sql: string }[];
  for (const { name } of guards) db.exec(`DROP TRIGGER ${name}`);
  db.exec(sql);
  for (const guard of guards) db.exec(guard.sql);
  db.close();
}

describe.each([
  ['extent pool', PoolStore, POOL_SCHEMA_STEPS],
  ['mount', FsPoolStore, FS_POOL_SCHEMA_STEPS],
] as const)('the ledger of an %s', (_, Store, steps) => {
  it('begins with why there is nothing before: the pool is new, or from before ledgers', () => {
    const path = join(tempDirectory('ledger'), 'pool.sqlite');
    const made = new Store(path, { create: true, actor: 'alice' });
    open.push(made);
    const old = join(tempDirectory('ledger'), 'pool.sqlite');
    openDatabase(old, steps.slice(0, steps.indexOf(LEDGER_STEP)), { create: true }).close();
    const upgraded = new Store(old, { actor: 'alice' });
    open.push(upgraded);
    for (const [store, file, beginning] of [
      [made, path, 'created'],
      [upgraded, old, 'upgraded'],
    ] as const) {
      expect(store.ledger.verify()).toMatchObject({ entryCount: 1, problem: null });
      const entry = JSON.parse(sqlite(file, 'SELECT entry FROM ledger'));
      expect(entry).toMatchObject({
        ...{ index: 1, event: 'ledger-began', actor: 'alice', policyVersion: null },
        ...{ figures: { beginning }, previousHash: null },
      });
    }
    const again = new Store(path, { actor: 'bob' });
    open.push(again);
    expect(again.ledger.head()?.entryCount).toBe(1);
  });
});

describe('the database', () => {
  it.each([
    ['a changed entry', "UPDATE ledger SET entry = '{}' WHERE entry_index = 2"],
    ['a changed hash', "UPDATE ledger SET hash = 'x' WHERE entry_index = 2"],
    ['a removed entry', 'DELETE FROM ledger WHERE entry_index = 3'],
    ['a replaced entry', "REPLACE INTO ledger (entry_index, entry, hash) VALUES (2, '{}', 'x')"],
    ['an entry out of turn', "INSERT INTO ledger (entry_index, entry, hash) VALUES (9, '{}', 'x')"],
    [
      'an entry that does not follow',
      `INSERT INTO ledger (entry_index, entry, hash) VALUES (4, '{"index":4,"previousHash":"x"}', 'x')`,
    ],
    ['a head set back', 'UPDATE ledger_head SET entry_count = 2'],
    ['a head without an entry', "UPDATE ledger_head SET entry_count = 4, last_hash = 'x'"],
    ['a removed head', 'DELETE FROM ledger_head'],
    ['a replaced head', 'REPLACE INTO ledger_head VALUES (1, 0, NULL)'],
  ])('refuses %s', (_, sql) => {
    const { store, path } = ledgerOf(3);
    expect(() => sqlite(path, sql)).toThrow(/ledger/);
    expect(store.ledger.verify()).toMatchObject({ entryCount: 3, problem: null });
  });

  it('takes nothing of a transaction that failed, and goes on from where it was', () => {
    const { store } = ledgerOf(2);
    expect(() =>
      store.transaction(() => {
        store.ledger.append({ atMs: 3, event: 'run-ended' });
        throw new Error('power cut');
      }),
    ).toThrow('power cut');
    expect(store.ledger.append({ atMs: 4, event: 'run-ended' })).toBe(3);
    expect(store.ledger.verify()).toMatchObject({ entryCount: 3, problem: null });
  });

  it('gives two processes that append at once one chain', () => {
    const { store, path } = ledgerOf(1);
    const other = new PoolStore(path, { actor: 'bob' });
    open.push(other);
    for (let round = 0; round < 10; round += 1) {
      store.ledger.append({ atMs: round, event: 'run-began' });
      other.ledger.append({ atMs: round, event: 'run-ended' });
    }
    expect(store.ledger.verify()).toMatchObject({ entryCount: 21, problem: null });
  });

  it('keeps text that is no text, such as half of a pair of surrogates, with its hash', () => {
    const { store, path } = ledgerOf(1);
    store.ledger.append({
      atMs: 1,
      event: 'run-began',
      reason: 'a\ud800b\u0000c',
      actor: '\udfff',
    });
    open.push(new PoolStore(path));
    expect(store.ledger.verify().problem).toBe(null);
  });
});

describe('verify', () => {
  const rechained = `
    UPDATE ledger SET entry = json_set(entry, '$.figures.doneBytes', 7),
      hash = 'of-the-new-content' WHERE entry_index = 5`;
  it.each([
    [
      'a changed figure',
      'UPDATE ledger SET entry = replace(entry, \'"doneBytes":3\', \'"doneBytes":9\') WHERE entry_index = 3',
      { kind: 'changed', index: 3 },
    ],
    ['a changed hash', rechained, { kind: 'changed', index: 5 }],
    ['a removed entry', 'DELETE FROM ledger WHERE entry_index = 3', { kind: 'missing', index: 3 }],
    [
      'a removed tail',
      'DELETE FROM ledger WHERE entry_index > 3',
      { kind: 'tail-removed', index: 4 },
    ],
    ['a removed head', 'DELETE FROM ledger_head', { kind: 'head-missing', index: null }],
    [
      'swapped entries',
      `UPDATE ledger SET entry_index = -2 WHERE entry_index = 2;
       UPDATE ledger SET entry_index = 2 WHERE entry_index = 3;
       UPDATE ledger SET entry_index = 3 WHERE entry_index = -2;`,
      { kind: 'misplaced', index: 2 },
    ],
    ['no entry at all', 'DELETE FROM ledger', { kind: 'tail-removed', index: 1 }],
    [
      'what is no JSON',
      "UPDATE ledger SET entry = 'gone' WHERE entry_index = 4",
      { kind: 'unreadable', index: 4 },
    ],
    [
      'a blob',
      "UPDATE ledger SET entry = x'00ff' WHERE entry_index = 4",
      { kind: 'unreadable', index: 4 },
    ],
  ])('sees %s', (_, sql, problem) => {
    const { store, path } = ledgerOf(5);
    tamper(path, sql);
    expect(store.ledger.verify().problem).toMatchObject(problem);
  });

  it('sees that a guard was taken away, changed or joined by another', () => {
    const { store, path } = ledgerOf(3);
    const unguarded = { kind: 'unguarded', index: null };
    const guard = sqlite(path, "SELECT sql FROM sqlite_schema WHERE name = 'ledger_kept'");
    sqlite(path, 'DROP TRIGGER ledger_kept');
    expect(store.ledger.verify().problem).toMatchObject(unguarded);
    sqlite(path, guard.replace('BEFORE DELETE ON ledger', 'BEFORE DELETE ON ledger WHEN 0'));
    expect(store.ledger.verify().problem).toMatchObject(unguarded);
    sqlite(path, `DROP TRIGGER ledger_kept; ${guard}`);
    expect(store.ledger.verify().problem).toBe(null);
    sqlite(path, 'CREATE TRIGGER more AFTER INSERT ON ledger BEGIN DELETE FROM runs; END');
    expect(store.ledger.verify().problem).toMatchObject(unguarded);
  });

  it('can be done without dynamicfs, with sqlite3 and a SHA-256 program', () => {
    const { store, path } = ledgerOf(4);
    store.ledger.append({ atMs: 5, event: 'policy-set', reason: 'für "später" …\n' });
    const script = `
import hashlib, json, sqlite3, sys
previous = None
for index, entry, kept in sqlite3.connect(sys.argv[1]).execute(
    "SELECT entry_index, entry, hash FROM ledger ORDER BY entry_index"):
  assert hashlib.sha256(entry.encode()).hexdigest() == kept, index
  assert json.loads(entry)["previousHash"] == previous, index
  previous = kept
print(f"{index}:{previous}")`;
    const head = store.ledger.head();
    const told = execFileSync('python3', ['-c', script, path], { encoding: 'utf8' });
    expect(told.trim()).toBe(`${head?.entryCount}:${head?.lastHash}`);
  });
});
