/**
 * Extents on a raw loop device, against fio and blkdiscard on another one beside it.
 *
 * `put`, `read` and rewrites of extents of 4 MiB are held against fio with blocks of 4 MiB, past the
 * page cache, as many at a time as the pool has under way; a rewrite against a read, a write and a read
 * of one fio thread after the other, as it also reads back what it wrote. Target 0.85.
 *
 * Both write from memory and read into memory that is used again. A put is durable when it returns: it
 * flushes once, at its end, and so does each thread of fio, within the time that is taken. Not of fio are
 * BLAKE3, a copy into memory that threads share, the journal and a commit on the file system beside it.
 *
 * Then 10,000 pieces of 64 KiB are trimmed, of which eight lie side by side: at least five times fewer
 * requests than pieces, and no slower for each byte than blkdiscard with those pieces. Beside it,
 * without a target, blkdiscard of as many bytes in a single piece.
 */

import { execFileSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ExtentPool, rewriteReplicas, TaskGate, trimBatch } from '../dist/index.js';
import { KIB, MIB, mibPerSecond, row, timeMs } from './support/figures.mjs';
import { extentsOf, freePending, scatter } from './support/fragmented-pool.mjs';
import { fioMs, RawDevice } from './support/raw-device.mjs';

export const title = 'A raw device: put, read, rewrite and trim, against fio and blkdiscard.';

const EXTENT_BYTES = 4 * MIB;
const TOTAL_BYTES = 256 * MIB;
const DEVICE_BYTES = 1024 * MIB;
const ROUND_COUNT = Number(process.env.DYNAMICFS_BENCH_ROUNDS ?? 5);
const EXTENTS_PER_TASK = 8;
const WARM_UP_BYTES = 64 * MIB;
/** For the disk to come to rest, and shorter than threads and memory are kept. */
const PAUSE_MS = 1_000;
/** As workers/store-extents.ts has them under way. */
const PUT_WRITES_PER_THREAD = 2;
const PIECE_BYTES = 64 * KIB;
const PIECE_COUNT = 10_000;
const PIECES_SIDE_BY_SIDE = 8;
const TARGET = { atLeast: 0.85 };

export async function run({ directory, say }) {
  const ours = new RawDevice(directory, 'pool', DEVICE_BYTES);
  const theirs = new RawDevice(directory, 'fio', DEVICE_BYTES);
  const content = randomFillSync(Buffer.alloc(TOTAL_BYTES));
  const samples = new Map();
  const note = (what, value) => samples.set(what, [...(samples.get(what) ?? []), value]);
  // The first round starts threads and is not counted.
  for (let round = 0; round <= ROUND_COUNT; round += 1) {
    say(`sequential, round ${round} of ${ROUND_COUNT}`);
    const measured = await sequentialRound(directory, ours, theirs, { content, round });
    if (round > 0) for (const [what, value] of Object.entries(measured)) note(what, value);
  }
  for (let round = 1; round <= ROUND_COUNT; round += 1) {
    say(`discards, round ${round} of ${ROUND_COUNT}`);
    const measured = await discardRound(directory, ours, theirs);
    for (const [what, value] of Object.entries(measured)) note(what, value);
  }
  for (const device of [ours, theirs]) device.remove();
  return rowsOf((what) => samples.get(what));
}

async function openPool(directory, device, round) {
  const path = join(directory, `pool-${round}-${process.hrtime.bigint()}`);
  await ExtentPool.create(path).close();
  const pool = ExtentPool.open(path);
  pool.addDisk(device.path, { force: true });
  return pool;
}

async function sequentialRound(directory, ours, theirs, { content, round }) {
  const depth = availableParallelism();
  const sequential = { totalBytes: TOTAL_BYTES, blockBytes: EXTENT_BYTES, depth };
  // Who comes second finds a disk that has just been busy, so they take turns in being first.
  const inTurn = async (fio, own) => {
    const steps = [fio, own];
    const ms = [];
    for (const first of round % 2 === 0 ? [0, 1] : [1, 0]) {
      await sleep(PAUSE_MS);
      ms[first] = await steps[first]();
    }
    return ms;
  };
  const pool = await openPool(directory, ours, 'sequential');
  await startThreads(pool, content.subarray(0, WARM_UP_BYTES));
  const atOnce = { ...sequential, depth: depth * PUT_WRITES_PER_THREAD };
  const [fioWriteMs, putMs] = await inTurn(
    () => fioMs(theirs, 'write', atOnce),
    () => timeMs(() => pool.put([entryOf(content)])),
  );
  ours.dropCache();
  const [fioReadMs, readMs] = await inTurn(
    () => fioMs(theirs, 'read', sequential),
    () => timeMs(() => readAll(pool, content.length)),
  );
  // In two pieces each, so that there is something to put together.
  scatter(pool, 2);
  ours.dropCache();
  const one = { ...sequential, depth: 1 };
  const [fioRewriteMs, rewriteMs] = await inTurn(
    () => ['read', 'write', 'read'].reduce((ms, op) => ms + fioMs(theirs, op, one), 0),
    () => timeMs(() => rewriteAll(pool)),
  );
  const { problems } = pool.audit();
  if (problems.length > 0) throw new Error(`the pool is not sound: ${problems[0]}`);
  await pool.close();
  return { fioWriteMs, putMs, fioReadMs, readMs, fioRewriteMs, rewriteMs };
}

/** What fio says of itself is without its own start and that of its memory, too. */
async function startThreads(pool, content) {
  await pool.put([entryOf(content)]);
  scatter(pool, 2);
  await rewriteAll(pool);
  await readAll(pool, content.length);
  pool.remove('bench');
  freePending(pool);
}

function entryOf(content) {
  const sizeBytes = content.length;
  const about = { name: 'bench', kind: 'file', mode: 0o644, mtimeMs: 0, linkTarget: null };
  return { ...about, sizeBytes, sourcePath: null, content: chunks(content) };
}

/** As a program that has the bytes in memory hands them over. */
async function* chunks(content) {
  for (let at = 0; at < content.length; at += EXTENT_BYTES)
    yield content.subarray(at, at + EXTENT_BYTES);
}

async function readAll(pool, expectedBytes) {
  let bytes = 0;
  for await (const piece of pool.read('bench', { reuseMemory: true })) bytes += piece.length;
  if (bytes !== expectedBytes) throw new Error(`read ${bytes} bytes`);
}

async function rewriteAll(pool) {
  const waiting = extentsOf(pool);
  const gate = new TaskGate(1);
  const lane = async () => {
    while (waiting.length > 0) {
      const moves = waiting
        .splice(0, EXTENTS_PER_TASK)
        .map(({ extentId }) => ({ extentId, diskId: 1, goal: 'defrag' }));
      for (const result of await rewriteReplicas(pool.context, moves, { gate: gate.run })) {
        if (result.kind !== 'moved') throw new Error(`not moved: ${JSON.stringify(result)}`);
      }
    }
  };
  await Promise.all([lane(), lane()]);
}

/** Both sides discard blocks that were written. */
async function discardRound(directory, ours, theirs) {
  ours.fill();
  theirs.fill();
  const pool = await openPool(directory, ours, 'discard');
  const disk = pool.context.store.disks.all()[0];
  makePending(pool, disk.diskId);
  const bytes = PIECE_COUNT * PIECE_BYTES;
  const before = ours.discards();
  const trimMs = await timeMs(async () => {
    const batch = { disk, fromBytes: 0, bytesMax: DEVICE_BYTES, secureErase: false };
    const { receipt } = await trimBatch(pool.context, batch);
    if (receipt.confirmedBytes !== bytes) throw new Error(`confirmed ${receipt.confirmedBytes}`);
  });
  const requestCount = ours.discards().requestCount - before.requestCount;
  await pool.close();
  const blkdiscard = (...args) =>
    timeMs(() => execFileSync('blkdiscard', ['-f', '-l', String(bytes), ...args, theirs.path]));
  const piecesMs = await blkdiscard('-p', String(PIECE_BYTES));
  theirs.fill();
  const wholeMs = await blkdiscard();
  return { trimMs, piecesMs, wholeMs, fewer: PIECE_COUNT / requestCount };
}

/** In random order, as objects are deleted; between eight of them lies one that is in use. */
function makePending(pool, diskId) {
  const { store } = pool.context;
  const [free] = [...store.space.iterate(diskId)].filter((run) => run.state === 'free');
  const starts = Array.from({ length: PIECE_COUNT }, (_, n) => {
    const gaps = Math.floor(n / PIECES_SIDE_BY_SIDE);
    return free.startBytes + PIECE_BYTES * (n + gaps + 1);
  });
  starts.sort((a, b) => ((a * 7_919) % 10_007) - ((b * 7_919) % 10_007));
  store.transaction(() => {
    store.space.remove(diskId, free.startBytes);
    for (const startBytes of starts) {
      store.space.add(diskId, { startBytes, lengthBytes: PIECE_BYTES }, 'pending');
    }
  });
}

function rowsOf(of) {
  const rates = (what, bytes) => of(what).map((ms) => mibPerSecond(bytes, ms));
  const ratios = (theirs, ours) => of(theirs).map((ms, index) => ms / of(ours)[index]);
  const pieces = PIECE_COUNT * PIECE_BYTES;
  return [
    row('fio write', 'MiB/s', rates('fioWriteMs', TOTAL_BYTES)),
    row('put', 'MiB/s', rates('putMs', TOTAL_BYTES)),
    row('put to fio', 'ratio', ratios('fioWriteMs', 'putMs'), TARGET),
    row('fio read', 'MiB/s', rates('fioReadMs', TOTAL_BYTES)),
    row('read', 'MiB/s', rates('readMs', TOTAL_BYTES)),
    row('read to fio', 'ratio', ratios('fioReadMs', 'readMs'), TARGET),
    row('fio read, write, read', 'MiB/s', rates('fioRewriteMs', TOTAL_BYTES)),
    row('rewrite', 'MiB/s', rates('rewriteMs', TOTAL_BYTES)),
    row('rewrite to fio', 'ratio', ratios('fioRewriteMs', 'rewriteMs'), TARGET),
    row('pieces to requests of a trim', 'ratio', of('fewer'), { atLeast: 5 }),
    row('blkdiscard in pieces', 'MiB/s', rates('piecesMs', pieces)),
    row('trim', 'MiB/s', rates('trimMs', pieces)),
    row('trim to blkdiscard in pieces', 'ratio', ratios('piecesMs', 'trimMs'), { atLeast: 1 }),
    row('trim to blkdiscard in one piece', 'ratio', ratios('wholeMs', 'trimMs')),
  ];
}
