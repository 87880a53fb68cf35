/**
 * Getting objects back harms nothing: no file is replaced unasked, nothing is written outside the
 * destination, no half file and no part file is ever left.
 */

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MIB } from '../../src/domain/units.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import {
  checksum,
  content,
  corruptReplica,
  expectSound,
  fileEntry,
  makePool,
  putFiles,
} from '../support/pool-fixture.js';
import { tempDirectory } from '../support/temp-directory.js';

function partFiles(directory: string): string[] {
  const all = readdirSync(directory, { recursive: true }) as string[];
  return all.filter((name) => name.includes('dynamicfs-part'));
}

async function putLink(pool: ExtentPool, name: string, linkTarget: string): Promise<void> {
  const entry = { ...fileEntry(name, Buffer.alloc(0)), sourcePath: null, linkTarget };
  await pool.put([{ ...entry, kind: 'symlink' }]);
}

describe('a destination that exists', () => {
  it('is left alone without force, and replaced with it', async () => {
    const pool = makePool();
    const bytes = content(1, 5000);
    await putFiles(pool, { 'd/a': bytes, 'd/b': bytes });
    const out = tempDirectory('out');
    writeFileSync(join(out, 'a'), 'mine');

    const refused = await pool.get('d', out);
    expect(refused.failed).toMatchObject([{ name: 'd/a', error: { code: 'ERR_TARGET_BUSY' } }]);
    expect(readFileSync(join(out, 'a'), 'utf8')).toBe('mine');
    expect(checksum(readFileSync(join(out, 'b')))).toBe(checksum(bytes));

    const forced = await pool.get('d', out, { force: true });
    expect(forced.failed).toEqual([]);
    expect(checksum(readFileSync(join(out, 'a')))).toBe(checksum(bytes));
    expect(partFiles(out)).toEqual([]);
  });

  it('is left alone also where it is a link that leads nowhere', async () => {
    const pool = makePool();
    await putFiles(pool, { a: content(1, 10) });
    const path = join(tempDirectory('out'), 'a');
    symlinkSync('nowhere', path);
    expect((await pool.get('a', path)).failed).toMatchObject([
      { error: { code: 'ERR_TARGET_BUSY' } },
    ]);
    expect(readlinkSync(path)).toBe('nowhere');
    expect((await pool.get('a', path, { force: true })).failed).toEqual([]);
    expect(readFileSync(path)).toHaveLength(10);
  });

  it('costs only the file that it is in the way of', async () => {
    const pool = makePool();
    const bytes = content(1, 100);
    await putFiles(pool, { 'd/a': bytes, 'd/b': bytes, 'd/c': bytes });
    const out = tempDirectory('out');
    mkdirSync(join(out, 'b'));
    const report = await pool.get('d', out, { force: true });
    expect(report.failed.map(({ name }) => name)).toEqual(['d/b']);
    expect(report).toMatchObject({ objectCount: 2, readBytes: 200 });
    expect(readdirSync(out).sort()).toEqual(['a', 'b', 'c']);
  });
});

describe('links', () => {
  it('of the pool lead nothing out of the destination', async () => {
    const pool = makePool();
    const outside = tempDirectory('outside');
    await putLink(pool, 'd/way-out', outside);
    await putFiles(pool, { 'd/way-out/file': content(1, 10), 'd/plain': content(2, 10) });
    const out = tempDirectory('out');
    const report = await pool.get('d', out);
    expect(readdirSync(outside)).toEqual([]);
    expect(existsSync(join(out, 'plain'))).toBe(true);
    expect(report.failed).toHaveLength(1);
  });

  it('below the destination are not followed, whoever made them', async () => {
    const pool = makePool();
    const outside = tempDirectory('outside');
    await putFiles(pool, { 'd/sub/deep/file': content(1, 10) });
    const out = tempDirectory('out');
    symlinkSync(outside, join(out, 'sub'));
    const report = await pool.get('d', out, { force: true });
    expect(report.failed).toMatchObject([{ error: { code: 'ERR_TARGET_BUSY' } }]);
    expect(readdirSync(outside)).toEqual([]);
  });

  it('are replaced by links with force', async () => {
    const pool = makePool();
    await putLink(pool, 'l', 'new target');
    const path = join(tempDirectory('out'), 'l');
    symlinkSync('old target', path);
    expect((await pool.get('l', path)).failed).toHaveLength(1);
    expect((await pool.get('l', path, { force: true })).failed).toEqual([]);
    expect(readlinkSync(path)).toBe('new target');
  });
});

it('leaves no part of a file whose last replica is bad, and gives back its neighbours', async () => {
  const pool = makePool({ extentBytes: MIB });
  await putFiles(pool, {
    'd/a': content(1, 10),
    'd/b': content(2, 3 * MIB),
    'd/c': content(3, 10),
  });
  const bad = pool.extents('d/b')[2];
  corruptReplica(pool, bad?.extentId ?? 0, 1);

  const out = tempDirectory('out');
  const report = await pool.get('d', out);
  expect(report.failed).toMatchObject([
    {
      name: 'd/b',
      error: { code: 'ERR_CHECKSUM_MISMATCH', message: expect.stringContaining('d/b') },
    },
  ]);
  expect(readdirSync(out).sort()).toEqual(['a', 'c']);
});

it('says that there is no such object, and makes nothing', async () => {
  const pool = makePool();
  const out = join(tempDirectory('out'), 'new');
  await expect(pool.get('nothing', out)).rejects.toMatchObject({
    code: 'ERR_TARGET_NOT_FOUND',
    nextStep: expect.stringContaining('ls'),
  });
  expect(existsSync(out)).toBe(false);
});

describe('remove', () => {
  it('refuses a folder without recursive, and then deletes it and nothing beside it', async () => {
    const pool = makePool();
    const bytes = content(1, 10);
    await putFiles(pool, { 'a/b': bytes, 'a/c/d': bytes, a0: bytes, 'a-': bytes });
    expect(() => pool.remove('a')).toThrow('2 objects at and below it');
    expect(pool.list()).toHaveLength(4);
    expect(pool.remove('a', true)).toEqual({ objectCount: 2, freedBytes: 2 * 4096 });
    expect(pool.list().map(({ name }) => name)).toEqual(['a-', 'a0']);
    expect(() => pool.remove('a', true)).toThrow('no object "a"');
  });

  it('of several names deletes all, each once, or none when one is not there', async () => {
    const pool = makePool();
    const bytes = content(1, 10);
    await putFiles(pool, { 'a/b': bytes, 'a/c': bytes, d: bytes, e: bytes });
    expect(() => pool.remove(['d', 'gone'])).toThrow('no object "gone"');
    expect(() => pool.remove(['d', 'a'])).toThrow('2 objects at and below it');
    expect(pool.list()).toHaveLength(4);
    const report = pool.remove(['d', 'a', 'a/b'], true);
    expect(report).toEqual({ objectCount: 3, freedBytes: 3 * 4096 });
    expect(pool.list().map(({ name }) => name)).toEqual(['e']);
    expectSound(pool);
  });

  it('while an object is read ends the read with "deleted", not with corruption', async () => {
    const pool = makePool({ extentBytes: MIB });
    await putFiles(pool, { a: content(1, 9 * MIB) });
    const reader = pool.read('a');
    await reader.next();
    pool.remove('a');
    const rest = (async () => {
      for await (const _ of reader);
    })();
    await expect(rest).rejects.toMatchObject({ code: 'ERR_TARGET_NOT_FOUND' });
  });
});
