/**
 * A put that cannot go on leaves nothing behind: no reservation, no half object, no byte that nobody
 * accounts for. What it had acknowledged before stays.
 */

import { execFileSync } from 'node:child_process';
import { appendFileSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { KIB, MIB } from '../../src/domain/units.js';
import {
  checksum,
  content,
  expectSound,
  fileEntry,
  fragmentFreeSpace,
  inventory,
  makePool,
  putFiles,
  readAll,
} from '../support/pool-fixture.js';
import { tempDirectory } from '../support/temp-directory.js';

/** Free and pending together: what the next put may take. */
function takeableBytes(pool: ReturnType<typeof makePool>): number[] {
  return pool.audit().disks.map((disk) => disk.freeBytes + disk.pendingBytes);
}

function replaceByPipe(path: string): void {
  rmSync(path);
  execFileSync('mkfifo', [path]);
}

describe('a source that does not hold still', () => {
  it.each([
    ['longer', (path: string) => appendFileSync(path, 'x')],
    ['shorter', (path: string) => truncateSync(path, 10)],
    ['gone', (path: string) => rmSync(path)],
    ['a pipe', replaceByPipe],
  ])('that is %s when it is read fails alone, and its neighbours are stored', async (_, change) => {
    const pool = makePool({ replicaCount: 2, diskCount: 2 });
    const bytes = content(1, 100 * KIB);
    const entries = [fileEntry('a', bytes), fileEntry('b', bytes), fileEntry('c', bytes)];
    change(entries[1]?.sourcePath ?? '');

    const report = await pool.put(entries);
    expect(report).toMatchObject({ storedCount: 2, storedBytes: 2 * bytes.length });
    expect(report.failed.map(({ name }) => name)).toEqual(['b']);
    expect(await inventory(pool)).toEqual({ a: checksum(bytes), c: checksum(bytes) });
    expectSound(pool);
  });

  it('is counted with no byte, even when it is cut off after its first chunk', async () => {
    const pool = makePool();
    const before = takeableBytes(pool);
    const entry = { ...fileEntry('big', content(2, 40 * MIB)), sizeBytes: 48 * MIB };
    const report = await pool.put([entry]);
    expect(report).toMatchObject({ storedCount: 0, storedBytes: 0 });
    expect(report.failed[0]?.error.code).toBe('ERR_MAP_CHANGED');
    expect(takeableBytes(pool)).toEqual(before);
    expectSound(pool);
  });
});

describe('a full pool', () => {
  it('refuses what does not fit, names the reason and keeps what it has', async () => {
    const pool = makePool({ capacityBytes: 64 * MIB });
    const kept = content('kept', 10 * MIB);
    await putFiles(pool, { kept });
    const before = takeableBytes(pool);
    const put = pool.put([fileEntry('too much', content(3, 60 * MIB))]);
    await expect(put).rejects.toMatchObject({
      code: 'ERR_NO_SPACE',
      nextStep: 'Delete objects or add a disk.',
      details: { storedCount: 0, storedBytes: 0 },
    });
    expect(takeableBytes(pool)).toEqual(before);
    expect(await inventory(pool)).toEqual({ kept: checksum(kept) });
    expectSound(pool);
  });

  it('takes data again once something was deleted', async () => {
    const pool = makePool({ capacityBytes: 64 * MIB });
    await putFiles(pool, { a: content('a', 30 * MIB) });
    await expect(pool.put([fileEntry('b', content('b', 40 * MIB))])).rejects.toThrow('no room');
    pool.remove('a');
    await putFiles(pool, { b: content('b', 40 * MIB) });
    expectSound(pool);
  });

  it('refuses more replicas than it has disks, and says so', async () => {
    const pool = makePool({ diskCount: 2 });
    const put = pool.put([fileEntry('a', content(1, 10))], { replicaCount: 3 });
    await expect(put).rejects.toMatchObject({
      code: 'ERR_NO_SPACE',
      message: '3 replicas need as many disks; 2 of 2 can be written',
    });
    expect(pool.list()).toEqual([]);
    expectSound(pool);
  });

  it('takes directories without any disk, but no content', async () => {
    const pool = makePool({ diskCount: 0 });
    const directory = { ...fileEntry('d', Buffer.alloc(0)), kind: 'directory' as const };
    await pool.put([{ ...directory, sourcePath: null }]);
    await expect(pool.put([fileEntry('f', content(1, 1))])).rejects.toThrow('0 of 0');
    expect(pool.list().map(({ name }) => name)).toEqual(['d']);
  });
});

describe('fragmented free space', () => {
  it('splits an extent over the holes, and it reads back whole', async () => {
    const pool = makePool({ capacityBytes: 64 * MIB });
    await fragmentFreeSpace(pool, 64 * KIB);
    const bytes = content('split', 12 * MIB);
    await putFiles(pool, { split: bytes });
    expect(pool.extents('split').map((e) => e.fragmentCount)).toSatisfy((counts: number[]) =>
      counts.some((count) => count > 1),
    );
    expect(checksum(await readAll(pool, 'split'))).toBe(checksum(bytes));
    expect(pool.analyze().fragmentedExtentCount).toBeGreaterThan(0);
    expectSound(pool);
  });

  it('on one disk makes no free space of the other one pending', async () => {
    const pool = makePool({ diskCount: 2, replicaCount: 2, capacityBytes: 64 * MIB });
    await fragmentFreeSpace(pool, 256 * KIB);
    const [first] = pool.context.store.disks.all();
    const large = pool.addDisk(join(tempDirectory('large'), 'disk'), { capacityBytes: 512 * MIB });
    await putFiles(pool, { a: content(1, 3 * MIB), b: content(2, 3 * MIB), c: content(3, 9) });
    const largest = pool.disks().find((disk) => disk.uuid === large.uuid);
    expect(largest?.pendingBytes).toBe(0);
    expect(first?.evacuating).toBe(false);
    expectSound(pool);
  });
});

it('replaces an object whole: the old one is gone only when the new one is there', async () => {
  const pool = makePool({ replicaCount: 2, diskCount: 2 });
  const [old, young] = [content('old', 5 * MIB), content('young', 2 * MIB)];
  await putFiles(pool, { a: old });
  const failing = { ...fileEntry('a', young), sizeBytes: 3 * MIB };
  expect((await pool.put([failing])).failed).toHaveLength(1);
  expect(checksum(await readAll(pool, 'a'))).toBe(checksum(old));

  await putFiles(pool, { a: young });
  expect(checksum(await readAll(pool, 'a'))).toBe(checksum(young));
  expect(pool.list()).toHaveLength(1);
  expectSound(pool);
});

it('keeps the last of two entries of one name in one group', async () => {
  const pool = makePool();
  await pool.put([fileEntry('a', content(1, 5000)), fileEntry('a', content(2, 6000))]);
  expect(await inventory(pool)).toEqual({ a: checksum(content(2, 6000)) });
  expectSound(pool);
});

it.each(['', '/absolute', 'a/../../b', 'a//b', '.', 'nul\0'])(
  'refuses the object name %j, and stores nothing',
  async (name) => {
    const pool = makePool();
    const put = pool.put([fileEntry(name, content(1, 10))]);
    await expect(put).rejects.toMatchObject({ code: 'ERR_USAGE' });
    expect(pool.list()).toEqual([]);
  },
);

it.each([0, 4, 1.5])('refuses to store %d replicas', async (replicaCount) => {
  const pool = makePool({ diskCount: 3 });
  const put = pool.put([fileEntry('a', content(1, 10))], { replicaCount });
  await expect(put).rejects.toMatchObject({ code: 'ERR_USAGE' });
  expect(pool.list()).toEqual([]);
});

it('gives no space away while one of its threads may still write there', async () => {
  const pool = makePool();
  const { workers } = pool.context;
  const run = workers.run.bind(workers);
  let underWay = 0;
  let calls = 0;
  vi.spyOn(workers, 'run').mockImplementation(async (kind, task) => {
    calls += 1;
    if (calls === 1) throw new Error('this thread died');
    underWay += 1;
    await sleep(200);
    const result = await run(kind, task);
    underWay -= 1;
    return result;
  });
  await expect(pool.put([fileEntry('a', content(1, 30 * MIB))])).rejects.toThrow('thread died');
  expect(calls).toBeGreaterThan(1);
  expect(underWay).toBe(0);
  expectSound(pool);
});

it('stops at a signal, after what is under way, and says how much it kept', async () => {
  const pool = makePool();
  const stop = new AbortController();
  const entries = function* () {
    for (let n = 0; ; n += 1) {
      if (n === 3) stop.abort();
      yield fileEntry(`f${n}`, content(n, 33 * MIB));
    }
  };
  const put = pool.put(entries(), { signal: stop.signal });
  await expect(put).rejects.toMatchObject({ code: 'ERR_INTERRUPTED' });
  for (const { name } of pool.list()) {
    expect(checksum(await readAll(pool, name))).toBe(
      checksum(content(Number(name.slice(1)), 33 * MIB)),
    );
  }
  expectSound(pool);
});
