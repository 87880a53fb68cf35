/**
 * Disks that are away, swapped, foreign, read-only, newer or damaged are told apart, never written to,
 * and welcomed back. Adding a disk either works or changes nothing.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32c } from '@node-rs/crc32';
import { describe, expect, it, vi } from 'vitest';
import { KIB, MIB } from '../../src/domain/units.js';
import { createPool } from '../../src/pool/extent-pool/create.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { findDisks } from '../../src/pool/extent-pool/find-disks.js';
import { refreshSuperblocks, rewriteJournal } from '../../src/pool/extent-pool/snapshot.js';
import {
  backingFiles,
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
import { tempDirectory } from '../support/temp-directory.js';

const BYTES = content('disks', 300 * KIB);

async function twoDiskPool(): Promise<ExtentPool> {
  const pool = makePool({ diskCount: 2, replicaCount: 2, capacityBytes: 64 * MIB });
  await putFiles(pool, { a: BYTES });
  return pool;
}

function conditions(pool: ExtentPool): string[] {
  return pool.disks().map(({ condition }) => condition);
}

async function whileClosed(pool: ExtentPool, change: () => void): Promise<ExtentPool> {
  await closePool(pool);
  change();
  return openPool(pool.path);
}

/** Makes both slots say what a later dynamicfs would. */
function setFormatVersion(file: string, version: number): void {
  for (const slotAt of [0, 512 * KIB]) {
    patchFile(file, slotAt, (slot) => {
      if (slot.readUInt32LE(12) === 0) return;
      slot.writeUInt32LE(version, 8);
      const body = slot.subarray(20, 20 + slot.readUInt32LE(12));
      slot.writeUInt32LE(crc32c(body, crc32c(slot.subarray(8, 16))), 16);
    });
  }
}

describe('a disk', () => {
  it('that is away can be missed: reads go on, writes go elsewhere, and it is found again', async () => {
    let pool = await twoDiskPool();
    const [, second = ''] = pool.disks().map(({ path }) => path);
    pool = await whileClosed(pool, () => renameSync(second, `${second}-away`));
    expect(conditions(pool)).toEqual(['online', 'missing']);
    expect(pool.disks()[1]?.problem).toContain('No such file or directory');
    expect(checksum(await readAll(pool, 'a'))).toBe(checksum(BYTES));
    await expect(pool.put([fileEntry('b', BYTES)])).rejects.toThrow('1 of 2 can be written');
    await pool.put([fileEntry('b', BYTES)], { replicaCount: 1 });

    pool = await whileClosed(pool, () => renameSync(`${second}-away`, second));
    expect(conditions(pool)).toEqual(['online', 'online']);
    expect(await inventory(pool)).toEqual({ a: checksum(BYTES), b: checksum(BYTES) });
    expectSound(pool);
  });

  it('in the place of another one of the same pool is recognised, both of them', async () => {
    let pool = await twoDiskPool();
    const [first = '', second = ''] = backingFiles(pool);
    pool = await whileClosed(pool, () => {
      renameSync(first, `${first}.swap`);
      renameSync(second, first);
      renameSync(`${first}.swap`, second);
    });
    expect(conditions(pool)).toEqual(['mismatch', 'mismatch']);
    expect(pool.disks()[0]?.problem).toContain('this place belongs to disk');
    await expect(pool.put([fileEntry('b', BYTES)])).rejects.toThrow('0 of 2 can be written');
    await expect(readAll(pool, 'a')).rejects.toMatchObject({ code: 'ERR_DISK_UNAVAILABLE' });
  });

  it('of another pool is not touched', async () => {
    const foreign = await twoDiskPool();
    const [foreignFile = ''] = backingFiles(foreign);
    await closePool(foreign);
    let pool = await twoDiskPool();
    const [file = ''] = backingFiles(pool);
    pool = await whileClosed(pool, () => renameSync(foreignFile, file));
    expect(conditions(pool)).toEqual(['mismatch', 'online']);
    expect(pool.disks()[0]?.problem).toContain(`belongs to pool ${foreign.id}`);
  });

  it('of a later format says which version it has, and what to do', async () => {
    let pool = await twoDiskPool();
    const [file = ''] = backingFiles(pool);
    pool = await whileClosed(pool, () => setFormatVersion(file, 2));
    expect(conditions(pool)).toEqual(['mismatch', 'online']);
    const [disk] = pool.context.store.disks.all();
    expect(disk && pool.context.diskState(disk).error).toMatchObject({
      code: 'ERR_NEWER_VERSION',
      message: expect.stringContaining('has disk format 2'),
      nextStep: expect.stringContaining('Upgrade'),
    });
    expect(checksum(await readAll(pool, 'a'))).toBe(checksum(BYTES));
  });

  it.skipIf(process.getuid?.() !== 0)('that is read-only is read and not written', async () => {
    let pool = await twoDiskPool();
    const [, second = ''] = pool.disks().map(({ path }) => path);
    await closePool(pool);
    execFileSync('mount', ['--bind', second, second]);
    execFileSync('mount', ['-o', 'remount,bind,ro', second]);
    try {
      pool = openPool(pool.path);
      expect(conditions(pool)).toEqual(['online', 'read-only']);
      expect(checksum(await readAll(pool, 'a'))).toBe(checksum(BYTES));
      await pool.put([fileEntry('b', BYTES)], { replicaCount: 1 });
      pool.remove('a');
      await closePool(pool);
    } finally {
      execFileSync('umount', [second]);
    }
    pool = openPool(pool.path);
    expect(conditions(pool)).toEqual(['online', 'online']);
    expect(await inventory(pool)).toEqual({ b: checksum(BYTES) });
    expectSound(pool);
  });

  it('without a superblock is a mismatch; with one torn slot it is as before', async () => {
    let pool = await twoDiskPool();
    const [first = '', second = ''] = backingFiles(pool);
    const sequence = (file: string) =>
      pool.disks() && findDisks([join(file, '..')]).disks[0]?.superblock.sequence;
    expect(sequence(first)).toBeGreaterThan(1);
    const newerSlot = (sequence(first) ?? 0) % 2 === 0 ? 0 : 512 * KIB;
    pool = await whileClosed(pool, () => {
      patchFile(first, newerSlot, (slot) => slot.fill(0xff, 30, 200));
      for (const at of [0, 512 * KIB]) patchFile(second, at, (slot) => slot.fill(0));
    });
    expect(conditions(pool)).toEqual(['online', 'mismatch']);
    expect(pool.disks()[1]?.problem).toContain('no valid dynamicfs superblock');
    expect(checksum(await readAll(pool, 'a'))).toBe(checksum(BYTES));
    expectSound(pool);
  });
});

describe('adding a disk', () => {
  it('that is one already, of this or another pool, is refused and changes nothing', async () => {
    const pool = await twoDiskPool();
    const other = makePool({ diskCount: 1 });
    const before = pool.disks();
    const [own, foreign] = [before[0]?.path ?? '', other.disks()[0]?.path ?? ''];
    for (const path of [own, foreign]) {
      expect(() => pool.addDisk(path)).toThrow(
        expect.objectContaining({ code: 'ERR_DISK_IN_USE' }),
      );
    }
    expect(pool.disks()).toEqual(before);
    expectSound(other);
  });

  it('with somebody’s file of that name in it is refused, and the file stays', async () => {
    const pool = await twoDiskPool();
    const directory = tempDirectory('used');
    writeFileSync(join(directory, 'dynamicfs.data'), 'mine');
    expect(() => pool.addDisk(directory)).toThrow('is not a disk of dynamicfs');
    expect(readdirSync(directory)).toEqual(['dynamicfs.data']);
  });

  it('that is too small leaves no directory behind', async () => {
    const pool = await twoDiskPool();
    const root = tempDirectory('small');
    const add = () => pool.addDisk(join(root, 'new/disk'), { capacityBytes: MIB });
    expect(add).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }));
    expect(readdirSync(root)).toEqual([]);
  });

  it('that failed half-way can be repeated in the same process', async () => {
    const pool = await twoDiskPool();
    const path = join(tempDirectory('again'), 'disk');
    const spy = vi.spyOn(pool.context.store.disks, 'setJournal');
    spy.mockImplementationOnce(() => {
      throw new Error('the lights went out');
    });
    expect(() => pool.addDisk(path, { capacityBytes: 64 * MIB })).toThrow('lights');
    expect(existsSync(path)).toBe(false);

    const disk = pool.addDisk(path, { capacityBytes: 64 * MIB });
    await pool.put([fileEntry('third', BYTES)], { replicaCount: 3 });
    const [found] = findDisks([path]).disks;
    expect(found?.superblock.diskUuid).toBe(disk.uuid);
    expect([...(found?.objects.values() ?? [])].map(([, , name]) => name)).toEqual(['third']);
    expectSound(pool);
  });
});

describe('superblocks', () => {
  it('of all disks name all members, also of those that were away when one came', async () => {
    let pool = await twoDiskPool();
    const [, second = ''] = pool.disks().map(({ path }) => path);
    pool = await whileClosed(pool, () => renameSync(second, `${second}-away`));
    pool.addDisk(join(tempDirectory('third'), 'disk'), { capacityBytes: 64 * MIB });
    pool = await whileClosed(pool, () => renameSync(`${second}-away`, second));
    for (const { path } of pool.disks()) {
      expect(findDisks([path]).disks[0]?.superblock.members).toHaveLength(3);
    }
  });

  it('name the newest journal, whichever process wrote them last', async () => {
    const early = await twoDiskPool();
    expect(conditions(early)).toEqual(['online', 'online']);
    const late = openPool(early.path);
    for (const disk of late.context.store.disks.all()) rewriteJournal(late.context, disk);
    refreshSuperblocks(early.context);
    await putFiles(late, { b: BYTES });
    for (const disk of late.context.store.disks.all()) {
      const [found] = findDisks([disk.path]).disks;
      expect(found?.superblock.journalEpoch).toBe(disk.journalEpoch);
    }
  });
});

describe('a pool directory', () => {
  it('that is not empty, or a pool, is refused and left as it was', async () => {
    const pool = await twoDiskPool();
    expect(() => createPool(pool.path)).toThrow('is a pool already');
    const directory = tempDirectory('full');
    writeFileSync(join(directory, 'file'), 'mine');
    expect(() => createPool(directory)).toThrow('is not an empty directory');
    expect(readdirSync(directory)).toEqual(['file']);
    mkdirSync(join(directory, 'empty'));
    expect(() => createPool(join(directory, 'empty'))).not.toThrow();
  });
});
