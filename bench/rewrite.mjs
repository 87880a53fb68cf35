/**
 * The rewrite protocol against the bare disk work in it.
 *
 * Extents of 4 MiB in 16 pieces are made contiguous by `rewriteReplicas`, as many at a time as there
 * are threads: read, verify, write, fdatasync, read back, verify, two transactions and a journal
 * frame. Limit: O_DIRECT read, write and read-back of the same bytes between the same offsets of the
 * same file, by as many threads; target 0.8 of it. Beside it the same with an fdatasync per extent.
 *
 * Rounds alternate limit and rewrite. Targets were written before, so that no side pays for the file
 * system's allocation. The share of BLAKE3 is what two hashes of each extent take in those threads.
 */

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { rewriteReplicas, TaskGate } from '../dist/index.js';
import { mibPerSecond, row, timeMs } from './support/figures.mjs';
import {
  diskOf,
  EXTENT_BYTES,
  extentsOf,
  freePending,
  makePool,
  scatter,
} from './support/fragmented-pool.mjs';
import { removeScratch, scratchDirectory } from './support/scratch.mjs';

export const title =
  'Rewriting extents of 4 MiB in 16 pieces, against plain O_DIRECT input and output.';

/** As src/processors/defrag-batch.ts has it. */
const EXTENTS_PER_TASK = 8;
const EXTENT_COUNT = 64;
const PIECE_COUNT = 16;
const ROUND_COUNT = 5;
const TOTAL_BYTES = EXTENT_COUNT * EXTENT_BYTES;
const OWNER = 'bench/plain';

export async function run({ say }) {
  const rows = [];
  for (const threadCount of [1, 2]) {
    say(`${threadCount} thread(s), ${ROUND_COUNT} rounds of ${EXTENT_COUNT} extents`);
    rows.push(...(await runWith(threadCount)));
  }
  return rows;
}

async function runWith(threadCount) {
  const directory = scratchDirectory('rewrite');
  const pool = await makePool(directory, { extentCount: EXTENT_COUNT, threadCount });
  const threads = Array.from({ length: threadCount }, startThread);
  const rounds = [];
  // The first round writes the targets once, starts the threads and is not counted.
  for (let round = 0; round <= ROUND_COUNT; round += 1) {
    scatter(pool, PIECE_COUNT);
    const plainMs = await plain(pool, threads, false);
    const rewriteMs = await rewrite(pool, threadCount);
    scatter(pool, PIECE_COUNT);
    const flushedMs = await plain(pool, threads, true);
    const secondMs = await rewrite(pool, threadCount);
    const hashMs = await hash(threads);
    if (round > 0) rounds.push({ plainMs, rewriteMs, flushedMs, secondMs, hashMs });
  }
  const { problems } = pool.audit();
  if (problems.length > 0) throw new Error(`the pool is not sound: ${problems[0]}`);
  for (const thread of threads) await thread.terminate();
  await pool.close();
  removeScratch(directory);
  return rowsOf(threadCount, rounds);
}

function rowsOf(threadCount, rounds) {
  const by = threadCount === 1 ? '1 thread' : `${threadCount} threads`;
  const over = (pick) => rounds.map(pick);
  const rate = (ms) => mibPerSecond(TOTAL_BYTES, ms);
  return [
    row(
      `plain, ${by}`,
      'MiB/s',
      over(({ plainMs }) => rate(plainMs)),
    ),
    row(
      `plain with fdatasync, ${by}`,
      'MiB/s',
      over(({ flushedMs }) => rate(flushedMs)),
    ),
    row(
      `rewrite, ${by}`,
      'MiB/s',
      over(({ rewriteMs }) => rate(rewriteMs)),
    ),
    row(
      `rewrite to plain, ${by}`,
      'ratio',
      over((r) => r.plainMs / r.rewriteMs),
      { atLeast: 0.8 },
    ),
    row(
      `rewrite to plain with fdatasync, ${by}`,
      'ratio',
      over((r) => r.flushedMs / r.secondMs),
    ),
    row(
      `BLAKE3, share of the time, ${by}`,
      '%',
      over((r) => (100 * r.hashMs) / r.secondMs),
    ),
  ];
}

function startThread() {
  return new Worker(new URL('./support/plain-io.mjs', import.meta.url), {
    workerData: { extentBytes: EXTENT_BYTES },
  });
}

/** Copies every extent to where `rewriteReplicas` would put it, and forgets the copies. */
async function plain(pool, threads, flush) {
  const { store, allocator } = pool.context;
  const { diskId, path } = diskOf(pool);
  const moves = store.transaction(() =>
    extentsOf(pool).map(({ extentId }) => ({
      from: store.extents.replicas(extentId)[0].runs,
      to: [allocator.reserveContiguous(diskId, EXTENT_BYTES, OWNER)],
    })),
  );
  const elapsedMs = await timeMs(() =>
    Promise.all(
      threads.map((thread, own) => {
        const share = moves.filter((_, index) => index % threads.length === own);
        return ask(thread, { kind: 'copy', path, moves: share, flush });
      }),
    ),
  );
  store.transaction(() => {
    for (const run of store.space.takeReserved(OWNER)) store.space.add(diskId, run, 'free');
  });
  return elapsedMs;
}

async function rewrite(pool, threadCount) {
  const { diskId } = diskOf(pool);
  const waiting = extentsOf(pool);
  const gate = new TaskGate(threadCount);
  // As a batch does it: a few extents a task, and one task more than threads.
  const lane = async () => {
    while (waiting.length > 0) {
      const moves = waiting
        .splice(0, EXTENTS_PER_TASK)
        .map(({ extentId }) => ({ extentId, diskId, goal: 'defrag' }));
      for (const result of await rewriteReplicas(pool.context, moves, { gate: gate.run })) {
        if (result.kind !== 'moved') throw new Error(`not moved: ${JSON.stringify(result)}`);
      }
    }
  };
  const elapsedMs = await timeMs(() => Promise.all(Array.from({ length: threadCount + 1 }, lane)));
  freePending(pool);
  return elapsedMs;
}

/** Two hashes of every extent, shared between the threads. */
function hash(threads) {
  const count = (2 * EXTENT_COUNT) / threads.length;
  return timeMs(() => Promise.all(threads.map((thread) => ask(thread, { kind: 'hash', count }))));
}

/** @throws Error what the thread threw. */
async function ask(thread, task) {
  thread.postMessage(task);
  await once(thread, 'message');
}
