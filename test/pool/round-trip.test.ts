/**
 * What goes in comes out: every kind of object, every size around the limits of an extent, on one to
 * three disks. Contents are compared by checksum, before and after the pool was closed.
 */

import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { KIB, MIB } from '../../src/domain/units.js';
import { FileTree } from '../../src/pool/extent-pool/file-tree.js';
import {
  checksum,
  content,
  expectSound,
  inventory,
  makePool,
  putFiles,
  readAll,
  reopenPool,
} from '../support/pool-fixture.js';
import { tempDirectory } from '../support/temp-directory.js';

const SIZES = [0, 1, 4095, 4096, 4097, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1, 9 * MIB, 40 * MIB];

describe.each([1, 2, 3])('a pool with %d replica(s)', (replicaCount) => {
  it('gives back files of every size around its limits, also after it was reopened', async () => {
    const pool = makePool({ diskCount: 3, replicaCount, capacityBytes: 512 * MIB });
    const files = Object.fromEntries(SIZES.map((size) => [`f${size}`, content(size, size)]));
    const report = await putFiles(pool, files);
    expect(report.storedCount).toBe(SIZES.length);
    expect(report.storedBytes).toBe(SIZES.reduce((sum, size) => sum + size, 0));

    const expected = Object.fromEntries(
      Object.entries(files).map(([name, bytes]) => [name, checksum(bytes)]),
    );
    expect(await inventory(pool)).toEqual(expected);
    expectSound(pool);
    const reopened = await reopenPool(pool);
    expect(await inventory(reopened)).toEqual(expected);
    expectSound(reopened);
  });

  it('keeps the replicas of an extent on different disks', async () => {
    const pool = makePool({ diskCount: 3, replicaCount });
    await putFiles(pool, { a: content('a', 9 * MIB) });
    for (const { extentId } of pool.extents('a')) {
      const disks = pool.context.store.extents.replicas(extentId).map(({ diskId }) => diskId);
      expect(new Set(disks).size).toBe(replicaCount);
      expect(disks).toHaveLength(replicaCount);
    }
  });
});

/** A tree with everything that a file system can hold and a pool can store. */
function makeTree(): string {
  const root = join(tempDirectory('tree'), 'tree');
  mkdirSync(join(root, 'empty directory'), { recursive: true });
  mkdirSync(join(root, 'deep/er'), { recursive: true });
  writeFileSync(join(root, 'line\nbreak'), 'one');
  writeFileSync(join(root, 'größe-日本-🗜'), 'two');
  writeFileSync(join(root, '-rf'), 'three');
  writeFileSync(join(root, 'x'.repeat(255)), 'a name as long as names can get');
  writeFileSync(join(root, 'deep/er/file'), content(7, 100 * KIB));
  writeFileSync(join(root, 'deep/empty'), '');
  chmodSync(join(root, '-rf'), 0o4751);
  chmodSync(join(root, 'deep/empty'), 0o400);
  symlinkSync('../nowhere at all', join(root, 'deep/dangling'));
  symlinkSync('/etc', join(root, 'absolute'));
  utimesSync(join(root, '-rf'), 1_000_000_000.25, 1_000_000_000.25);
  utimesSync(join(root, 'deep'), 1_100_000_000, 1_100_000_000);
  chmodSync(join(root, 'deep'), 0o550);
  return root;
}

interface Found {
  readonly kind: string;
  readonly mode: number;
  readonly mtimeMs: number;
  readonly bytes: string;
}

function describeTree(root: string): Record<string, Found> {
  const found: Record<string, Found> = {};
  for (const name of ['', ...(readdirSync(root, { recursive: true }) as string[])]) {
    const path = join(root, name);
    const stats = lstatSync(path);
    const isLink = stats.isSymbolicLink();
    const bytes = isLink ? readlinkSync(path) : stats.isFile() ? checksum(readFileSync(path)) : '';
    found[name] = {
      kind: isLink ? 'link' : stats.isFile() ? 'file' : 'directory',
      mode: stats.mode & 0o7777,
      mtimeMs: Math.round(stats.mtimeMs),
      bytes,
    };
  }
  return found;
}

it('brings a tree back with its names, modes, times and links', async () => {
  const root = makeTree();
  const pool = makePool();
  const tree = new FileTree(root, 'kept/tree');
  const report = await pool.put(tree);
  expect(report.failed).toEqual([]);
  expect(tree.report).toEqual({ unsupported: {}, failed: [] });

  const destination = join(tempDirectory('out'), 'tree');
  const got = await pool.get('kept/tree', destination);
  expect(got.failed).toEqual([]);
  expect(got.objectCount).toBe(pool.list().length);
  expect(describeTree(destination)).toEqual(describeTree(root));
});

it('gives back a single object under a name of its own', async () => {
  const pool = makePool();
  const bytes = content('one', 5 * MIB);
  await putFiles(pool, { 'deep/one': bytes });
  const destination = join(tempDirectory('out'), 'renamed');
  const report = await pool.get('deep/one', destination);
  expect(report).toEqual({ objectCount: 1, readBytes: bytes.length, failed: [] });
  expect(checksum(readFileSync(destination))).toBe(checksum(bytes));
});

it('stores a stream of unknown length', async () => {
  const pool = makePool({ extentBytes: MIB });
  const bytes = content('stream', 3 * MIB + 5);
  const pieces = async function* () {
    for (let at = 0; at < bytes.length; at += 70_001) yield bytes.subarray(at, at + 70_001);
  };
  const common = { kind: 'file', sizeBytes: 0, mode: 0o600, mtimeMs: 1, linkTarget: null } as const;
  await pool.put([{ ...common, name: 'stdin', sourcePath: null, content: pieces() }]);
  expect(pool.metadata('stdin')?.sizeBytes).toBe(bytes.length);
  expect(checksum(await readAll(pool, 'stdin'))).toBe(checksum(bytes));
  expectSound(pool);
});
