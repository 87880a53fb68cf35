/**
 * Losing `pool.sqlite` loses nothing that was acknowledged: the journals of the disks have it all.
 * Every test loses the catalogue for real and compares names, contents and the audit.
 */

import { copyFileSync, existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { KIB, MIB } from '../../src/domain/units.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { recoverPool } from '../../src/pool/extent-pool/recover.js';
import {
  checksum,
  closePool,
  content,
  expectSound,
  fileEntry,
  inventory,
  makePool,
  openPool,
  patchFile,
  putFiles,
  readAll,
} from '../support/pool-fixture.js';

const BYTES = content('recover', 300 * KIB);

function paths(pool: ExtentPool): string[] {
  return pool.disks().map(({ path }) => path);
}

function loseCatalogue(pool: ExtentPool): void {
  for (const name of readdirSync(pool.path)) rmSync(join(pool.path, name), { recursive: true });
}

/** Loses the catalogue and rebuilds it from these disks. */
async function recovered(pool: ExtentPool, disks: readonly string[]) {
  await closePool(pool);
  loseCatalogue(pool);
  const report = await recoverPool(pool.path, disks);
  return { pool: openPool(pool.path), report };
}

describe('recover', () => {
  it.each([0, 1, 2])('finds everything from disk %d alone', async (diskIndex) => {
    const old = makePool({ diskCount: 3, replicaCount: 2, capacityBytes: 64 * MIB });
    const directory = { ...fileEntry('d', Buffer.alloc(0)), sourcePath: null };
    await old.put([{ ...directory, kind: 'directory' }]);
    await old.put([{ ...directory, name: 'l', kind: 'symlink', linkTarget: 'where' }]);
    await putFiles(old, { 'd/a': BYTES, 'd/empty': Buffer.alloc(0), b: content(2, 9 * MIB) });
    await old.put([fileEntry('c', BYTES)], { replicaCount: 1, tier: 'cold' });
    const before = {
      list: old.list(),
      found: await inventory(old),
      settings: old.context.settings(),
    };

    const { pool, report } = await recovered(old, [paths(old)[diskIndex] ?? '']);
    expect(report).toEqual({
      poolId: old.id,
      objectCount: 6,
      extentCount: 5,
      incompleteObjects: [],
      missingDisks: [],
    });
    expect(pool.list()).toEqual(before.list);
    expect(await inventory(pool)).toEqual(before.found);
    expect(pool.extents('c')[0]).toMatchObject({ replicaCount: 1, tier: 'cold' });
    expect(pool.context.settings()).toMatchObject({
      extentBytes: before.settings.extentBytes,
      replicaCount: before.settings.replicaCount,
    });
    expectSound(pool);
  });

  it('makes a new pool directory where the old one is gone altogether', async () => {
    const old = makePool({ diskCount: 1 });
    await putFiles(old, { a: BYTES });
    const [disk = ''] = paths(old);
    await closePool(old);
    rmSync(old.path, { recursive: true });
    await recoverPool(old.path, [disk]);
    expect(await inventory(openPool(old.path))).toEqual({ a: checksum(BYTES) });
  });

  it('takes nothing over from the log that the lost catalogue left behind', async () => {
    const old = makePool({ diskCount: 1 });
    await putFiles(old, { a: BYTES });
    const source = fileEntry('source', content(1, 10));
    // In an order that the journal does not have, so that the new tables have other pages.
    const names = Array.from({ length: 700 }, (_, n) => `f${(n * 389) % 700}`);
    await old.put(names.map((name) => ({ ...source, name })));
    for (const name of names.slice(0, 60)) old.remove(name);
    // The log then holds a few pages only, which fit no other database.
    const db = new Database(join(old.path, 'pool.sqlite'));
    db.pragma('wal_checkpoint(TRUNCATE)');
    db.close();
    await putFiles(old, { last: BYTES });
    const before = old.list();
    const kept = ['pool.sqlite-wal', 'pool.sqlite-shm'];
    for (const name of kept) copyFileSync(join(old.path, name), `${old.path}.${name}`);
    const [disk = ''] = paths(old);
    await closePool(old);
    loseCatalogue(old);
    for (const name of kept) renameSync(`${old.path}.${name}`, join(old.path, name));
    await recoverPool(old.path, [disk]);
    const pool = openPool(old.path);
    expect(pool.list()).toEqual(before);
    expect(checksum(await readAll(pool, 'last'))).toBe(checksum(BYTES));
    expectSound(pool);
  });

  it('refuses a pool that still has its catalogue, and disks of two pools', async () => {
    const [a, b] = [makePool(), makePool()];
    const [diskA = '', diskB = ''] = [...paths(a), ...paths(b)];
    const busy = { code: 'ERR_TARGET_BUSY' };
    await expect(recoverPool(a.path, [diskA])).rejects.toMatchObject(busy);
    await closePool(a);
    loseCatalogue(a);
    const mixed = recoverPool(a.path, [diskA, diskB]);
    await expect(mixed).rejects.toMatchObject({ code: 'ERR_DISK_MISMATCH' });
    expect(existsSync(join(a.path, 'pool.sqlite'))).toBe(false);
  });
});

describe('a disk that is lost with the catalogue', () => {
  it('costs what only it had, by name, and no more', async () => {
    const old = makePool({ diskCount: 2, replicaCount: 2, capacityBytes: 64 * MIB });
    await putFiles(old, { both: BYTES });
    await old.put([fileEntry('one', BYTES)], { replicaCount: 1 });
    const extentId = old.extents('one')[0]?.extentId ?? 0;
    const diskId = old.context.store.extents.replicas(extentId)[0]?.diskId ?? 0;
    const lost = paths(old)[diskId - 1] ?? '';
    const left = paths(old)[2 - diskId] ?? '';
    await closePool(old);
    rmSync(lost, { recursive: true });
    loseCatalogue(old);
    const report = await recoverPool(old.path, [left]);
    expect(report).toMatchObject({ missingDisks: [lost], objectCount: 1 });
    const pool = openPool(old.path);
    expect(checksum(await readAll(pool, 'both'))).toBe(checksum(BYTES));
  });

  it('is also one that is there and unreadable, and one whose place another disk has', async () => {
    const old = makePool({ diskCount: 3, replicaCount: 3, capacityBytes: 64 * MIB });
    await putFiles(old, { a: BYTES });
    const [first = '', second = '', third = ''] = paths(old);
    await closePool(old);
    for (const at of [0, 512 * KIB]) {
      patchFile(join(second, 'dynamicfs.data'), at, (slot) => slot.fill(0));
    }
    renameSync(third, `${third}-moved`);
    loseCatalogue(old);
    const report = await recoverPool(old.path, [first, `${third}-moved`]);
    expect(report).toMatchObject({ missingDisks: [second], incompleteObjects: [] });
    const pool = openPool(old.path);
    expect(paths(pool)).toEqual([first, `${third}-moved`]);
    expect(checksum(await readAll(pool, 'a'))).toBe(checksum(BYTES));
  });

  it('and found after a second loss does not delete what got its ids', async () => {
    const old = makePool({ diskCount: 2, replicaCount: 2, capacityBytes: 64 * MIB });
    await putFiles(old, { a: BYTES });
    const [left = '', away = ''] = paths(old);
    await old.put([fileEntry('x', BYTES), fileEntry('y', BYTES)]);
    old.remove('y');
    old.remove('x');
    await closePool(old);
    renameSync(away, `${away}-away`);
    loseCatalogue(old);
    await recoverPool(old.path, [left]);
    const between = openPool(old.path);
    for (const name of ['p', 'q', 'r']) {
      await between.put([fileEntry(name, BYTES)], { replicaCount: 1 });
    }
    await closePool(between);
    loseCatalogue(old);
    await recoverPool(old.path, [left, `${away}-away`]);
    const pool = openPool(old.path);
    expect(pool.list().map(({ name }) => name)).toEqual(['a', 'p', 'q', 'r']);
    for (const name of ['p', 'q', 'r']) {
      expect(checksum(await readAll(pool, name))).toBe(checksum(BYTES));
    }
  });
});
