/**
 * Journals that were cut off, went stale, grew long or found no room: what they say after a loss of
 * the catalogue is what was committed, and they never keep a pool from being used.
 */

import { readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { KIB, MIB } from '../../src/domain/units.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import {
  encodeFrame,
  FRAME_PREFIX_BYTES,
  LINK_FRAME_BYTES,
} from '../../src/pool/extent-pool/journal-frames.js';
import { recoverPool } from '../../src/pool/extent-pool/recover.js';
import { rewriteReplica } from '../../src/pool/extent-pool/rewrite.js';
import { rewriteJournal } from '../../src/pool/extent-pool/snapshot.js';
import {
  checksum,
  closePool,
  content,
  expectSound,
  fileEntry,
  inventory,
  makePool,
  openPool,
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

describe('a catalogue lost between the journals of two disks', () => {
  /** Fails the n-th write to a journal, as if the power went then. */
  function failJournal(pool: ExtentPool, nth: number): void {
    const { journal } = pool.context;
    const append = journal.append.bind(journal);
    let count = 0;
    vi.spyOn(journal, 'append').mockImplementation((...args) => {
      count += 1;
      if (count === nth) throw new Error('power cut');
      append(...args);
    });
  }

  it.each([1, 2, 3, 4])('keeps the old object or the new one (journal %d)', async (nth) => {
    const old = makePool({ diskCount: 2, extentBytes: MIB, capacityBytes: 64 * MIB });
    const [first, second] = [content('first', 3 * MIB), content('second', 5 * MIB)];
    await old.put([fileEntry('a', first)], { replicaCount: 2 });
    failJournal(old, nth);
    const put = old.put([fileEntry('a', second)], { replicaCount: 2 });
    await put.catch((error: Error) => expect(error.message).toBe('power cut'));
    const { pool } = await recovered(old, paths(old));
    expect([checksum(first), checksum(second)]).toContain(checksum(await readAll(pool, 'a')));
    // What was never acknowledged may have come with one replica only; nothing else may be wrong.
    const { problems } = pool.audit();
    expect(problems.filter((text) => !text.endsWith('1 whole replicas of 2'))).toEqual([]);
  });

  it.each([1, 2, 3])('keeps an extent that was moving from disk to disk (%d)', async (nth) => {
    const old = makePool({ diskCount: 2, capacityBytes: 64 * MIB });
    await putFiles(old, { a: BYTES });
    const extentId = old.extents('a')[0]?.extentId ?? 0;
    const [replica] = old.context.store.extents.replicas(extentId);
    failJournal(old, nth);
    const candidate = { extentId, diskId: replica?.diskId ?? 0 };
    await rewriteReplica(old.context, candidate, 'evacuate').catch(() => {});
    const { pool, report } = await recovered(old, paths(old));
    expect(report.incompleteObjects).toEqual([]);
    expect(checksum(await readAll(pool, 'a'))).toBe(checksum(BYTES));
  });
});

describe('a journal', () => {
  it('keeps room for the link to its next segment on the largest of disks', () => {
    const { MAX_SAFE_INTEGER } = Number;
    const link = ['next-segment', MAX_SAFE_INTEGER, MAX_SAFE_INTEGER] as const;
    const linkBytes = encodeFrame([link], 2 ** 47, MAX_SAFE_INTEGER).length;
    expect(linkBytes + FRAME_PREFIX_BYTES).toBeLessThanOrEqual(LINK_FRAME_BYTES);
  });

  it('goes on over several segments, and is the same after it was written anew', async () => {
    const old = makePool({ capacityBytes: 512 * MIB });
    const source = fileEntry('source', content(1, 10));
    const long = 'n'.repeat(200);
    const names = Array.from({ length: 6000 }, (_, n) => `${long}/${n}`);
    await old.put(names.map((name) => ({ ...source, name })));
    const { disks } = old.context.store;
    expect(disks.journalSegments(1).length).toBeGreaterThan(2);
    old.remove(`${long}/0`);
    let { pool } = await recovered(old, paths(old));
    expect(pool.list().map(({ name }) => name)).toEqual(names.slice(1).sort());
    expectSound(pool);

    const [disk] = pool.context.store.disks.all();
    if (disk) rewriteJournal(pool.context, disk);
    await putFiles(pool, { later: BYTES });
    pool = (await recovered(pool, paths(pool))).pool;
    expect(pool.list()).toHaveLength(names.length);
    expectSound(pool);
  });

  it('of a disk that was away while objects were deleted is put right when it is back', async () => {
    let pool = makePool({ diskCount: 2, replicaCount: 2, capacityBytes: 64 * MIB });
    await putFiles(pool, { a: BYTES, b: BYTES });
    const [, second = ''] = paths(pool);
    await closePool(pool);
    renameSync(second, `${second}-away`);
    pool = openPool(pool.path);
    pool.remove('a');
    await closePool(pool);
    renameSync(`${second}-away`, second);
    pool = openPool(pool.path);
    const { pool: rebuilt } = await recovered(pool, [second]);
    expect(await inventory(rebuilt)).toEqual({ b: checksum(BYTES) });
    expectSound(rebuilt);
  });

  it('forgets at the next opening what no commit followed', async () => {
    const old = makePool({ capacityBytes: 64 * MIB });
    await putFiles(old, { a: BYTES });
    const { store } = old.context;
    const spy = vi.spyOn(store.totals, 'add');
    const { journal } = old.context;
    const append = journal.append.bind(journal);
    vi.spyOn(journal, 'append').mockImplementation((...args) => {
      append(...args);
      throw new Error('power cut');
    });
    await expect(old.put([fileEntry('b', BYTES)])).rejects.toThrow('power cut');
    expect(() => old.remove('a')).toThrow('power cut');
    spy.mockRestore();
    await closePool(old);
    const again = openPool(old.path);
    const { pool } = await recovered(again, paths(again));
    expect(await inventory(pool)).toEqual({ a: checksum(BYTES) });
    expectSound(pool);
  });

  it('that has no room does not keep a pool from being opened and emptied', async () => {
    let pool = makePool({ diskCount: 1, capacityBytes: 16 * MIB });
    await putFiles(pool, { a: content(1, 8 * MIB) });
    const { store } = pool.context;
    store.transaction(() => {
      store.disks.markJournalStale(1);
      for (const run of [...store.space.iterate(1)]) {
        store.space.reserve(run, run.lengthBytes, pool.context.writer.newOwner());
      }
    });
    const second = openPool(pool.path);
    expect(second.list()).toHaveLength(1);
    second.remove('a');
    await closePool(second);
    await closePool(pool);
    pool = openPool(pool.path);
    expect(pool.context.store.disks.get(1)?.journalStale).toBe(false);
    expectSound(pool);
  });
});

it('a lost folder of writer locks is made again', async () => {
  const pool = makePool();
  const { context } = pool;
  context.store.transaction(() => context.allocator.reserve(1, MIB, 'dead-writer/1'));
  await closePool(pool);
  rmSync(join(pool.path, 'writers'), { recursive: true, force: true });
  expectSound(openPool(pool.path));
});
