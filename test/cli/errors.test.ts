/**
 * What a user can get wrong: each mistake has its code, names the thing, says what to do next, exits
 * as documented, with and without `--json` (`failure` runs both), and changes nothing.
 */

import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MIB } from '../../src/domain/units.js';
import { type CliPool, emptyPool } from '../support/cli-pools.js';
import { CliNode } from '../support/cli-run.js';
import { openPool } from '../support/pool-fixture.js';

const node = new CliNode();
let pool: CliPool;

beforeAll(async () => {
  pool = await emptyPool();
  const stored = await node.run(['put', '-p', pool.path, '-', '--name', 'a/b'], { input: 'text' });
  expect(stored.code).toBe(0);
});

afterAll(() => node.stop());

function inPool(...args: string[]): string[] {
  return [...args, '--pool', pool.path];
}

describe('wrong usage exits with 2', () => {
  it.each([
    [['nope'], 'unknown command: nope'],
    [['defrag', 'nope'], 'unknown command: defrag nope'],
    [['status'], 'Missing required flag pool'],
    [['disk', 'add', '/y', '--pool', '/x'], 'Unexpected argument: /y'],
    [['disk-add', '/y', '--pool', '/x'], 'unknown command: disk-add'],
    [['ls', '--pool', '/x', '--bogus'], 'Nonexistent flag: --bogus'],
    [['put', '--pool', '/x'], 'Missing argument: path'],
    [['agent', 'status', '--bogus'], 'Nonexistent flag: --bogus'],
    [['get', '--pool', '/x', 'a', 'b', 'c'], 'Unexpected argument: c'],
    [['defrag-start', '-p', '/x', '--intensity', 'warp'], '--intensity: unknown intensity: "warp"'],
    [['defrag', 'start', '-p', '/x', '--threads', '0'], '--threads: not a number of threads: "0"'],
    [['trim', 'set', '-p', '/x', '--intensity', 'warp'], 'Expected --intensity=warp to be one of'],
    [['trim', 'set', '-p', '/x', '--batch-size', '1T'], 'a batch of 1.00 TB is outside the limits'],
    [['disk', 'add', '-p', '/x', '--disk', '/y', '--tier', 'hottest'], 'unknown tier: "hottest"'],
    [['init', '-p', '/x', '--disk', '/y', '--capacity', 'lots'], 'not a size: "lots"'],
  ])('%j', async (args, message) => {
    const failure = await node.jsonFailure(args);
    expect(failure).toMatchObject({ code: 'ERR_USAGE', exitCode: 2 });
    expect(failure.message).toContain(message);
    expect(failure.message).not.toMatch(/See more help|occurred|Parsing/);
    expect(failure.nextStep).not.toBeNull();
  });

  it('names the command that was meant', async () => {
    const failure = await node.failure(['defrag-anlyze']);
    expect(failure.nextStep).toContain('`defrag-analyze`');
  });

  it.each([
    [['init', '--replicas', '4', '-p'], '4 replicas'],
    [['init', '--extent-size', '1K', '-p'], 'extent size 1024 is outside the limits'],
    [['init', '--disk', 'd', '--capacity', '1M', '-p'], '1.00 MB is too small for a disk'],
  ])('%j PATH makes no pool', async (args, message) => {
    const path = join(node.directory, 'made', 'pool');
    const failure = await node.jsonFailure([...args, path]);
    expect(failure).toMatchObject({ code: 'ERR_USAGE', exitCode: 2 });
    expect(failure.message).toContain(message);
    expect(existsSync(join(node.directory, 'made'))).toBe(false);
    expect(existsSync(join(node.directory, 'd'))).toBe(false);
  });
});

describe('the pool', () => {
  it('that does not exist', async () => {
    const failure = await node.failure(['status', '--pool', '/nowhere']);
    expect(failure).toMatchObject({ code: 'ERR_TARGET_NOT_FOUND', exitCode: 10 });
    expect(failure.message).toContain('/nowhere');
    expect(failure.nextStep).toContain('dynamicfs init --pool /nowhere');
  });

  it.each(['status', 'defrag-analyze', 'defrag-start', 'trim-now'])(
    'that is none: %s',
    async (id) => {
      const failure = await node.jsonFailure([id, '--pool', node.directory]);
      expect(failure).toMatchObject({ code: 'ERR_NOT_A_POOL', exitCode: 21 });
      expect(failure.message).toContain(node.directory);
      expect(failure.nextStep).toContain('dynamicfs init');
    },
  );

  it('of a newer version', async () => {
    const { path } = await emptyPool();
    const db = new Database(join(path, 'pool.sqlite'));
    db.pragma('user_version = 999');
    db.close();
    const failure = await node.failure(['status', '--pool', path]);
    expect(failure).toMatchObject({ code: 'ERR_NEWER_VERSION', exitCode: 22 });
    expect(failure.message).toContain('999');
    expect(failure.nextStep).toContain('Upgrade dynamicfs');
  });

  it('that exists already', async () => {
    const failure = await node.failure(inPool('init'));
    expect(failure).toMatchObject({ code: 'ERR_TARGET_BUSY', exitCode: 11 });
    expect(await node.text(...inPool('ls'))).toContain('a/b');
  });

  it('in a directory that holds something else', async () => {
    const path = join(node.directory, 'full');
    mkdirSync(path);
    writeFileSync(join(path, 'file'), '');
    const failure = await node.failure(['init', '--pool', path]);
    expect(failure).toMatchObject({ code: 'ERR_USAGE', exitCode: 2 });
    expect(readdirSync(path)).toEqual(['file']);
  });

  it('locked by another program', async () => {
    const db = new Database(join(pool.path, 'pool.sqlite'));
    db.exec('BEGIN IMMEDIATE');
    const env = { DYNAMICFS_STORE_TIMEOUT_MS: '50' };
    const failure = await node.failure(inPool('rm', 'a/b'), { env });
    db.close();
    expect(failure).toMatchObject({ code: 'ERR_STORE', exitCode: 19 });
    expect(failure.message).toContain('locked by another process');
    expect(await node.text(...inPool('ls'))).toContain('a/b');
  });
});

describe('a disk', () => {
  it('of another pool is not added, and a pool that wants it is not made', async () => {
    const [disk = ''] = (await emptyPool()).disks;
    const added = await node.failure(inPool('disk', 'add', '--disk', disk));
    expect(added).toMatchObject({ code: 'ERR_DISK_IN_USE', exitCode: 23 });
    expect(added.message).toContain(disk);

    const wanted = ['--disk', 'new-disk', '--disk', disk, '--capacity', '32M'];
    const failure = await node.failure(['init', '-p', 'new-pool', ...wanted]);
    expect(failure).toMatchObject({ code: 'ERR_DISK_IN_USE', exitCode: 23 });
    expect(readdirSync(node.directory)).not.toContain('new-pool');
    expect(readdirSync(node.directory)).not.toContain('new-disk');
    expect((await node.json('agent status', [], 26)).pools.map(({ path }) => path)).not.toContain(
      join(node.directory, 'new-pool'),
    );
  });

  it('of this pool is not added twice', async () => {
    const failure = await node.failure(inPool('add-disk', '--disk', pool.disks[0] ?? ''));
    expect(failure).toMatchObject({ code: 'ERR_DISK_IN_USE', exitCode: 23 });
    expect((await node.json('disk list', inPool())).disks).toHaveLength(1);
  });

  it.each(['trim-now', 'remove-disk'])('that the pool does not have: %s', async (id) => {
    const failure = await node.failure(inPool(id, '--disk', '/no/disk'));
    expect(failure).toMatchObject({ code: 'ERR_TARGET_NOT_FOUND', exitCode: 10 });
    expect(failure.nextStep).toContain(pool.disks[0]);
  });

  it('that is gone is said to be missing, and its objects cannot be read', async () => {
    const { path, disks } = await emptyPool();
    await node.run(['put', '-p', path, '-', '--name', 'x'], { input: 'text' });
    rmSync(disks[0] ?? '', { recursive: true });
    const listed = await node.text('disk', 'list', '-p', path);
    expect(listed).toContain('missing');
    expect(listed).toMatch(new RegExp(`Problem: .*${disks[0]}`));
    const failure = await node.failure(['get', '-p', path, 'x']);
    expect(failure).toMatchObject({ code: 'ERR_DISK_UNAVAILABLE', exitCode: 25 });
    const streamed = await node.run(['get', '-p', path, 'x', '-']);
    expect(streamed).toMatchObject({ code: 25, stdout: '' });
  });

  it('that recover cannot use', async () => {
    const target = join(node.directory, 'rebuilt');
    const failure = await node.failure(['recover', '-p', target, '--disk', '/no/disk']);
    expect(failure).toMatchObject({ code: 'ERR_TARGET_NOT_FOUND', exitCode: 10 });
    const busy = await node.failure(inPool('recover', '--disk', pool.disks[0] ?? ''));
    expect(busy).toMatchObject({ code: 'ERR_TARGET_BUSY', exitCode: 11 });
    expect(existsSync(target)).toBe(false);
  });
});

describe('an object', () => {
  it.each([
    ['get', 'nothing'],
    ['rm', 'nothing'],
    ['extent', 'list', '--object', 'nothing'],
  ])('that is not there: %s', async (...args) => {
    const failure = await node.failure(inPool(...args));
    expect(failure).toMatchObject({ code: 'ERR_TARGET_NOT_FOUND', exitCode: 10 });
    expect(failure.message).toContain('nothing');
    expect(failure.nextStep).toContain('dynamicfs ls');
  });

  it('with others below it is deleted only with --recursive', async () => {
    const failure = await node.failure(inPool('rm', 'a'));
    expect(failure.exitCode).toBe(2);
    expect(failure.nextStep).toContain('--recursive');
  });

  it('that exists as a file here is not overwritten', async () => {
    writeFileSync(join(node.directory, 'mine'), 'mine');
    const failure = await node.failure(inPool('get', 'a/b', 'mine'));
    expect(failure).toMatchObject({ code: 'ERR_TARGET_BUSY', exitCode: 11 });
    expect(failure.nextStep).toBe('Add --force to replace it.');
  });

  it('cannot go to standard output beside --json', async () => {
    const end = await node.run(inPool('get', 'a/b', '-', '--json'));
    expect(end.code).toBe(2);
    expect(JSON.parse(end.stdout)).toMatchObject({ error: { code: 'ERR_USAGE' } });
  });

  it('that is larger than the pool is refused, and leaves nothing', async () => {
    const big = join(node.directory, 'big');
    writeFileSync(big, Buffer.alloc(80 * MIB));
    const failure = await node.failure(inPool('put', big));
    expect(failure).toMatchObject({ code: 'ERR_NO_SPACE', exitCode: 16 });
    expect(failure.nextStep).toContain('add a disk');
    const opened = openPool(pool.path);
    expect(opened.audit().problems).toEqual([]);
    expect(opened.disks()[0]?.reservedBytes).toBe(0);
    rmSync(big);
  });

  it('from standard input needs a name', async () => {
    const failure = await node.failure(inPool('put', '-'));
    expect(failure).toMatchObject({ exitCode: 2, nextStep: 'Add --name NAME.' });
  });

  it.each(['../up', '/abs', 'a//b', ''])('named "%s" is refused', async (name) => {
    const failure = await node.jsonFailure(inPool('put', '-', '--name', name));
    expect(failure).toMatchObject({ code: 'ERR_USAGE', exitCode: 2 });
  });

  it('whose source is not there', async () => {
    const failure = await node.failure(inPool('put', '/no/such/file'));
    expect(failure).toMatchObject({ code: 'ERR_TARGET_NOT_FOUND', exitCode: 10 });
    expect(failure.message).toContain('/no/such/file');
  });

  it('of a kind that cannot be stored is counted and left out', async () => {
    const source = join(node.directory, 'mixed');
    mkdirSync(source);
    writeFileSync(join(source, 'good'), 'good');
    expect((await node.program('mkfifo', [join(source, 'pipe')])).code).toBe(0);
    const end = await node.run(inPool('put', source));
    expect(end).toMatchObject({ code: 0, stdout: 'Stored 2 objects, 4 B\n' });
    expect(end.stderr).toBe('Left out 1: not a file, directory or link\n');
  });

  it('of several that cannot be written: 64 when some could, 32 when none', async () => {
    mkdirSync(join(node.directory, 'back', 'mixed', 'good'), { recursive: true });
    const args = inPool('get', 'mixed', join('back', 'mixed'), '--force');
    const some = await node.run(args);
    expect(some).toMatchObject({ code: 64, stdout: 'Read 1 object, 0 B\n' });
    expect(some.stderr).toContain('Failed mixed/good: ');
  });
});

describe('the agent', () => {
  it('that cannot reach the Redis of DYNAMICFS_REDIS_URL: nothing is changed', async () => {
    const env = { DYNAMICFS_REDIS_URL: 'redis://user:secret@127.0.0.1:1' };
    const failure = await node.failure(inPool('trim-now'), { env });
    expect(failure).toMatchObject({ code: 'ERR_QUEUE', exitCode: 18 });
    expect(failure.message).toContain('127.0.0.1:1');
    expect(failure.stderr).not.toContain('secret');
    expect((await node.json('trim status', inPool())).run).toBeNull();
  });

  it('that cannot make its state directory', async () => {
    const file = join(node.directory, 'file');
    writeFileSync(file, '');
    chmodSync(file, 0o400);
    const env = { DYNAMICFS_STATE_DIR: join(file, 'state') };
    const failure = await node.failure(['agent', 'status'], { env });
    expect(failure.message).toContain(join(file, 'state'));
    expect(failure.exitCode).toBe(20);
  });

  it('pausing what does not run', async () => {
    const failure = await node.failure(inPool('defrag', 'pause'));
    expect(failure).toMatchObject({ code: 'ERR_TARGET_NOT_FOUND', exitCode: 10 });
    expect(failure.nextStep).toContain('dynamicfs defrag start');
  });
});

describe('DYNAMICFS_POOL', () => {
  it('names the pool where --pool does not', async () => {
    const env = { DYNAMICFS_POOL: pool.path };
    expect((await node.run(['ls'], { env })).stdout).toContain('a/b');
    expect((await node.run(['ls', '--pool', '/nowhere'], { env })).code).toBe(10);
  });
});
