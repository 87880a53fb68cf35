/**
 * Opening a store: what is newer, foreign, damaged or locked is told apart, by code and by path, and
 * nothing of it is changed.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, describe, expect, it } from 'vitest';
import { MIB } from '../../src/domain/units.js';
import { openDatabase, transaction, transactionWithoutFlush } from '../../src/store/database.js';
import { POLICY_STEP } from '../../src/store/policies.js';
import { PoolStore } from '../../src/store/pool-store.js';
import { Registry } from '../../src/store/registry.js';
import { POOL_SCHEMA_STEPS } from '../../src/store/schema.js';
import { firstOutput, killHard, runTypeScript, spawnTypeScript } from '../support/child.js';
import { tempDirectory } from '../support/temp-directory.js';

const open: { close(): void }[] = [];
afterEach(() => {
  for (const store of open.splice(0)) store.close();
});

function newStore(): { store: PoolStore; path: string } {
  const path = join(tempDirectory('store'), 'pool.sqlite');
  const store = new PoolStore(path, { create: true });
  open.push(store);
  return { store, path };
}

it('commits without a flush only what may be lost, and flushes all else before and after', () => {
  const NORMAL = 1;
  const FULL = 2;
  const path = join(tempDirectory('store'), 'some.sqlite');
  const db = openDatabase(path, ['CREATE TABLE rows (x)'], { create: true });
  open.push(db);
  const flushing = () => db.pragma('synchronous', { simple: true });
  const insert = () => {
    db.exec('INSERT INTO rows VALUES (1)');
    return flushing();
  };
  expect(transaction(db, insert)).toBe(FULL);
  expect(transactionWithoutFlush(db, insert)).toBe(NORMAL);
  expect(transaction(db, () => transactionWithoutFlush(db, insert))).toBe(FULL);
  const failing = () => {
    insert();
    throw new Error('in the middle');
  };
  expect(() => transactionWithoutFlush(db, failing)).toThrow('in the middle');
  expect(transaction(db, insert)).toBe(FULL);
  expect(db.prepare('SELECT COUNT(*) FROM rows').pluck().get()).toBe(4);
});

it('of a pool from before there were policies keeps how it trims', () => {
  const path = join(tempDirectory('store'), 'pool.sqlite');
  const before = POOL_SCHEMA_STEPS.slice(0, POOL_SCHEMA_STEPS.indexOf(POLICY_STEP));
  const old = openDatabase(path, before, { create: true });
  const settings = {
    trimEnabled: false,
    trimIntensity: 'aggressive',
    trimBatchBytes: 200 * MIB,
    trimSecureErase: true,
  };
  for (const [key, value] of Object.entries(settings)) {
    old.prepare('INSERT INTO pool_settings VALUES (?, ?)').run(key, JSON.stringify(value));
  }
  old.close();
  const store = new PoolStore(path);
  open.push(store);
  expect(store.policies.current()).toMatchObject({ version: 1, document: { preset: 'balanced' } });
  expect(store.policies.effective().trim).toMatchObject({
    enabled: false,
    intensity: 'aggressive',
    batchBytes: 200 * MIB,
    secureErase: true,
  });
  expect(newStore().store.policies.current().version).toBe(0);
});

describe('a database', () => {
  it('of a later version is refused, and says which one it is', () => {
    const { store, path } = newStore();
    store.close();
    const db = new Database(path);
    db.pragma('user_version = 99');
    db.close();
    for (const readonly of [true, false]) {
      const error = {
        code: 'ERR_NEWER_VERSION',
        message: expect.stringContaining(`${path} has schema version 99`),
        nextStep: expect.stringContaining('Upgrade'),
      };
      expect(() => new PoolStore(path, { readonly })).toThrow(expect.objectContaining(error));
    }
  });

  it('of somebody else is not touched', () => {
    const path = join(tempDirectory('store'), 'pool.sqlite');
    const db = new Database(path);
    db.exec('CREATE TABLE mine (x)');
    db.close();
    const before = readFileSync(path);
    const error = { code: 'ERR_NOT_A_POOL', message: expect.stringContaining(path) };
    expect(() => new PoolStore(path)).toThrow(expect.objectContaining(error));
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  it('that is none, or not there, is an error of the store that names the file', () => {
    const path = join(tempDirectory('store'), 'pool.sqlite');
    expect(() => new PoolStore(path)).toThrow(expect.objectContaining({ code: 'ERR_STORE' }));
    writeFileSync(path, 'this is no database, '.repeat(200));
    const error = { code: 'ERR_STORE', message: expect.stringContaining(path) };
    expect(() => new PoolStore(path)).toThrow(expect.objectContaining(error));
  });

  it('keeps what was acknowledged, in the safe mode', () => {
    const { store, path } = newStore();
    store.settings.write({ poolId: 'p' });
    const db = new Database(path, { readonly: true });
    expect(db.pragma('journal_mode', { simple: true })).toBe('wal');
    db.close();
    store.close();
    expect(new PoolStore(path, { readonly: true }).settings.read().poolId).toBe('p');
  });
});

it('a transaction takes back all that it did when it fails, also nested', () => {
  const { store } = newStore();
  store.settings.write({ poolId: 'before' });
  const failing = () =>
    store.transaction(() => {
      store.settings.write({ poolId: 'outer' });
      store.transaction(() => store.totals.add({ put_bytes: 5 }));
      throw new Error('no');
    });
  expect(failing).toThrow('no');
  expect(store.settings.read().poolId).toBe('before');
  expect(store.totals.read().put_bytes).toBe(0);
});

describe('a store that another process keeps locked', () => {
  const HOLDER = `
    import Database from 'better-sqlite3';
    const db = new Database(process.env.STORE);
    db.exec('BEGIN IMMEDIATE');
    console.log('locked');
    setInterval(() => db.name, 1000);
  `;

  it('is reported by name after a wait, is not changed, and works again afterwards', async () => {
    const { store, path } = newStore();
    store.settings.write({ poolId: 'before' });
    const holder = spawnTypeScript(HOLDER, { STORE: path });
    try {
      expect(await firstOutput(holder)).toBe('locked');
      const writer = await runTypeScript(
        `
          import { PoolStore } from './src/store/pool-store.ts';
          const store = new PoolStore(process.env.STORE);
          const attempts = [
            () => store.settings.write({ poolId: 'after' }),
            () => store.transaction(() => store.settings.write({ poolId: 'after' })),
            () => store.disks.setEvacuating(1, true),
          ];
          for (const attempt of attempts) {
            try {
              attempt();
            } catch (error) {
              console.log(JSON.stringify(error.toWire()));
            }
          }
        `,
        { STORE: path, DYNAMICFS_STORE_TIMEOUT_MS: '100' },
      );
      const errors = writer.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      expect(errors).toHaveLength(3);
      for (const error of errors) {
        expect(error).toMatchObject({
          code: 'ERR_STORE',
          message: `${path} is locked by another process`,
        });
      }
    } finally {
      await killHard(holder);
    }
    expect(store.settings.read().poolId).toBe('before');
    store.settings.write({ poolId: 'after' });
    expect(store.settings.read().poolId).toBe('after');
  });
});

describe('the owner of a pool', () => {
  it('is whoever came last; all that came before are refused by name', () => {
    const { store } = newStore();
    expect(store.owner.read()).toBeNull();
    const first = store.owner.acquire('first', 1);
    store.owner.assertCurrent(first);
    const second = store.owner.acquire('second', 2);
    expect(second).toBeGreaterThan(first);
    const error = { code: 'ERR_TARGET_BUSY', message: expect.stringContaining('second') };
    expect(() => store.owner.assertCurrent(first)).toThrow(expect.objectContaining(error));
    store.owner.assertCurrent(second);
    expect(store.owner.read()).toEqual({ epoch: second, holder: 'second', acquiredAtMs: 2 });
  });
});

describe('runs', () => {
  const run = {
    kind: 'defrag',
    trigger: 'manual',
    intensity: 'low',
    threadCount: 1,
    diskId: null,
    secureErase: false,
    startedAtMs: 1,
    plannedCount: 10,
    plannedBytes: 100,
  } as const;

  it('of one kind are open one at a time, and end once', () => {
    const { store } = newStore();
    const id = store.runs.insert(run);
    expect(() => store.runs.insert(run)).toThrow();
    expect(store.runs.insert({ ...run, kind: 'trim' })).toBeGreaterThan(id);
    expect(store.runs.setState(id, 'paused', 2)).toBe(true);
    expect(store.runs.open('defrag')?.state).toBe('paused');
    expect(store.runs.setState(id, 'stopped', 3)).toBe(true);
    expect(store.runs.setState(id, 'running', 4)).toBe(false);
    expect(store.runs.get(id)).toMatchObject({ state: 'stopped', endedAtMs: 3 });
    expect(store.runs.open('defrag')).toBeNull();
    expect(store.runs.insert(run)).toBeGreaterThan(id);
  });

  it('add up their progress, and count each batch once', () => {
    const { store } = newStore();
    const id = store.runs.insert(run);
    store.runs.addProgress(id, { doneCount: 2, doneBytes: 20 });
    store.runs.addProgress(id, { doneCount: 1 });
    expect(store.runs.get(id)?.progress).toMatchObject({
      plannedCount: 10,
      plannedBytes: 100,
      doneCount: 3,
      doneBytes: 20,
      failedCount: 0,
    });
    expect(store.runs.finishBatch(id, 0)).toBe(true);
    expect(store.runs.finishBatch(id, 0)).toBe(false);
    expect(store.runs.get(id)?.batchIndex).toBe(1);
  });
});

it('the registry keeps one path per pool, and one pool per path', () => {
  const registry = new Registry(tempDirectory('state'));
  open.push(registry);
  const pool = {
    poolId: 'a',
    path: '/a',
    kind: 'extent',
    registeredAtMs: 1,
    fileSystemUuid: null,
  } as const;
  registry.register(pool);
  registry.register({ ...pool, path: '/moved' });
  registry.register({ ...pool, poolId: 'b', path: '/moved', registeredAtMs: 2 });
  expect(registry.all().map(({ poolId }) => poolId)).toEqual(['b']);
  registry.forget('b');
  expect(registry.byId('b')).toBeNull();
});

it('brings a store of an older version up to date for who only looks at it', () => {
  const path = join(tempDirectory('store'), 'old.sqlite');
  const old = openDatabase(path, ['CREATE TABLE rows (x)'], { create: true });
  old.exec('INSERT INTO rows VALUES (7)');
  old.close();
  const steps = ['CREATE TABLE rows (x)', 'ALTER TABLE rows ADD COLUMN y DEFAULT 8'];
  const db = openDatabase(path, steps, { readonly: true });
  open.push(db);
  expect(db.prepare('SELECT * FROM rows').all()).toEqual([{ x: 7, y: 8 }]);
  expect(() => db.exec('INSERT INTO rows VALUES (1, 2)')).toThrow(/readonly/);
});
