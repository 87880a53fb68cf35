/**
 * A scrub against the bare reads in it.
 *
 * Contiguous extents of 4 MiB are verified as a batch of a scrub does it: picked from the catalogue,
 * read past the page cache and hashed by as many threads, and noted. Limit: O_DIRECT reads of the same
 * runs by as many threads; target: 1.1 times as long at most. Rounds alternate.
 */

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { pickForScrub, verifyPicked } from '../dist/index.js';
import { mibPerSecond, row, timeMs } from './support/figures.mjs';
import { diskOf, EXTENT_BYTES, extentsOf, makePool } from './support/fragmented-pool.mjs';
import { removeScratch, scratchDirectory } from './support/scratch.mjs';

export const title = 'Verifying extents of 4 MiB in one piece, against plain O_DIRECT input.';

const EXTENT_COUNT = 64;
const ROUND_COUNT = 5;
const TOTAL_BYTES = EXTENT_COUNT * EXTENT_BYTES;

export async function run({ say }) {
  const rows = [];
  for (const threadCount of [1, 2]) {
    say(`${threadCount} thread(s), ${ROUND_COUNT} rounds of ${EXTENT_COUNT} extents`);
    rows.push(...(await runWith(threadCount)));
  }
  return rows;
}

async function runWith(threadCount) {
  const directory = scratchDirectory('scrub');
  const pool = await makePool(directory, { extentCount: EXTENT_COUNT, threadCount });
  const threads = Array.from({ length: threadCount }, startThread);
  const rounds = [];
  // The first round starts the threads and is not counted.
  for (let round = 0; round <= ROUND_COUNT; round += 1) {
    const plainMs = await plain(pool, threads);
    const scrubMs = await timeMs(() => scrub(pool, threadCount));
    if (round > 0) rounds.push({ plainMs, scrubMs });
  }
  for (const thread of threads) await thread.terminate();
  await pool.close();
  removeScratch(directory);
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
      `scrub, ${by}`,
      'MiB/s',
      over(({ scrubMs }) => rate(scrubMs)),
    ),
    row(
      `time of the scrub to plain, ${by}`,
      'ratio',
      over((r) => r.scrubMs / r.plainMs),
      {
        below: 1.1,
      },
    ),
  ];
}

function startThread() {
  return new Worker(new URL('./support/plain-io.mjs', import.meta.url), {
    workerData: { extentBytes: EXTENT_BYTES },
  });
}

async function plain(pool, threads) {
  const { path } = diskOf(pool);
  const replicas = extentsOf(pool).map(
    ({ extentId }) => pool.context.store.extents.replicas(extentId)[0].runs,
  );
  const half = Math.ceil(replicas.length / threads.length);
  return await timeMs(() =>
    Promise.all(
      threads.map(async (thread, own) => {
        const runs = replicas.slice(own * half, (own + 1) * half);
        thread.postMessage({ kind: 'read', path, replicas: runs });
        await once(thread, 'message');
      }),
    ),
  );
}

async function scrub(pool, threadCount) {
  const stopFlag = new Int32Array(new SharedArrayBuffer(16));
  const pick = pickForScrub(pool.context, 0, null, TOTAL_BYTES);
  const verified = await verifyPicked(pool.context, pick, { runId: 1, threadCount, stopFlag });
  if (verified?.goodCount !== EXTENT_COUNT) throw new Error('not all extents are good');
}
