/**
 * `read` as a stream: a few pieces of memory however long the object is, each verified before it is
 * seen, none overwritten while it is looked at, and all given back however the stream ends.
 */

import { describe, expect, it } from 'vitest';
import { MIB } from '../../src/domain/units.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import {
  checksum,
  content,
  corruptReplica,
  makePool,
  openPool,
  putFiles,
  readAll,
  reopenPool,
} from '../support/pool-fixture.js';

const REUSE = { reuseMemory: true };
const EXTENT_COUNT = 12;
const BYTES = content('stream', EXTENT_COUNT * MIB - 1000);

/** The content as a consumer sees it that copies each piece before it asks for the next. */
async function readReusing(pool: ExtentPool, name: string): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of pool.read(name, REUSE)) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

/** With one thread tasks run in turn: when this one is through, so are those before it. */
async function allReadAhead(pool: ExtentPool): Promise<void> {
  await pool.context.workers.run('read-extents', { extents: [] });
}

async function poolWithObject(replicaCount = 1): Promise<ExtentPool> {
  const made = makePool({ extentBytes: MIB, diskCount: replicaCount, replicaCount });
  await putFiles(made, { a: BYTES });
  return await reopenPool(made, { threadCount: 1 });
}

describe('a stream that uses its memory again', () => {
  it('brings the content, in as few pieces of memory as it reads ahead', async () => {
    const pool = await poolWithObject();
    const memories = new Set<ArrayBufferLike>();
    let count = 0;
    for await (const piece of pool.read('a', REUSE)) {
      memories.add(piece.buffer);
      count += 1;
    }
    expect(count).toBe(EXTENT_COUNT);
    expect(memories.size).toBe(pool.context.readMemory.streamPieces);
    expect(memories.size).toBeLessThan(EXTENT_COUNT);
    expect(checksum(await readReusing(pool, 'a'))).toBe(checksum(BYTES));
  });

  it('leaves a piece alone until the next is asked for', async () => {
    const pool = await poolWithObject();
    let at = 0;
    for await (const piece of pool.read('a', REUSE)) {
      await allReadAhead(pool);
      const expected = BYTES.subarray(at, at + piece.length);
      expect(Buffer.compare(piece, expected)).toBe(0);
      at += piece.length;
    }
    expect(at).toBe(BYTES.length);
  });

  it('gives its memory to the next one, also when its consumer stops early', async () => {
    const pool = await poolWithObject();
    const memories = new Set<ArrayBufferLike>();
    for (let n = 0; n < 4; n += 1) {
      for await (const piece of pool.read('a', REUSE)) {
        memories.add(piece.buffer);
        break;
      }
    }
    for await (const piece of pool.read('a', REUSE)) memories.add(piece.buffer);
    expect(memories.size).toBe(pool.context.readMemory.streamPieces);
    expect(pool.extents('a').map(({ readCount }) => readCount)).toEqual(
      new Array(EXTENT_COUNT).fill(1),
    );
  });

  it('does not share it with another one at the same time, even one that is left', async () => {
    const pool = await poolWithObject();
    const other = content('other', EXTENT_COUNT * MIB);
    await putFiles(pool, { b: other });
    const left = pool.read('b', REUSE);
    await left.next();
    const [first, second] = await Promise.all([
      readReusing(pool, 'a'),
      readReusing(pool, 'b'),
      left.return(undefined),
    ]);
    expect(checksum(first)).toBe(checksum(BYTES));
    expect(checksum(second)).toBe(checksum(other));
  });
});

describe('a bad replica in mid-stream', () => {
  it('is read around, in memory that held something else before', async () => {
    const pool = await poolWithObject(2);
    const bad = pool.extents('a').filter(({ extentIndex }) => extentIndex % 3 === 2);
    for (const { extentId } of bad) {
      const [first] = pool.context.readableReplicas(extentId);
      corruptReplica(pool, extentId, first?.diskId ?? 0);
    }
    expect(checksum(await readReusing(pool, 'a'))).toBe(checksum(BYTES));
    expect(pool.context.store.totals.read().bad_replicas_seen).toBe(bad.length);
  });

  it('without a good one ends the stream there, and harms no other', async () => {
    const pool = await poolWithObject(2);
    const bad = pool.extents('a')[7];
    for (const diskId of [1, 2]) corruptReplica(pool, bad?.extentId ?? 0, diskId);
    let seenBytes = 0;
    const reading = (async () => {
      for await (const piece of pool.read('a', REUSE)) seenBytes += piece.length;
    })();
    await expect(reading).rejects.toMatchObject({
      code: 'ERR_CHECKSUM_MISMATCH',
      message: 'a: extent 7 has no good replica',
    });
    expect(seenBytes).toBe(7 * MIB);

    await putFiles(pool, { b: BYTES });
    expect(checksum(await readReusing(pool, 'b'))).toBe(checksum(BYTES));
  });
});

it('has memory of its own for each piece unless asked, which stays as it was', async () => {
  const pool = await poolWithObject();
  const pieces: Uint8Array[] = [];
  for await (const piece of pool.read('a')) pieces.push(piece);
  await readReusing(pool, 'a');
  expect(new Set(pieces.map(({ buffer }) => buffer)).size).toBe(EXTENT_COUNT);
  expect(pieces.every(({ buffer }) => buffer instanceof ArrayBuffer)).toBe(true);
  expect(checksum(Buffer.concat(pieces))).toBe(checksum(BYTES));
});

it('ends with the pool when it is left in the middle', async () => {
  const pool = await poolWithObject();
  const stream = pool.read('a', REUSE);
  await stream.next();
  await stream.return(undefined);
  const again = await reopenPool(pool);
  expect(checksum(await readAll(again, 'a'))).toBe(checksum(BYTES));
});

it('counts what was read where another connection sees it at once', async () => {
  const pool = await poolWithObject();
  await readAll(pool, 'a');
  const other = openPool(pool.path, { mode: 'read' });
  expect(other.extents('a').every(({ readCount }) => readCount === 1)).toBe(true);
});
