/**
 * How much of a defragmentation run at high intensity goes to the queue.
 *
 * An agent with its own Redis rewrites 300 extents of 4 MiB with two threads. The share of time, from
 * the start of the first batch to the end of the last, in which no batch was at work on extents: what
 * BullMQ's times of the jobs span, less the run's own `busyMs`. Limit: 3 %.
 * High intensity lets a batch of 10 extents begin every 100 ms. A disk that needs less for them waits
 * for the rate that was asked for, which is no overhead: that time is told by itself.
 */

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue } from 'bullmq';
import { ExtentPool } from '../dist/index.js';
import { startAgent, stopAgent } from './support/agent.mjs';
import { runCommand } from './support/child.mjs';
import { MIB, row } from './support/figures.mjs';
import { EXTENT_BYTES, makePool, scatter } from './support/fragmented-pool.mjs';

export const title = 'A defragmentation at high intensity through the queue, two threads.';

const EXTENT_COUNT = 300;
const EXTENTS_PER_BATCH = 10;
/** The least time from the start of one batch to that of the next. */
const BATCH_INTERVAL_MS = 100;
const PIECE_COUNT = 16;
const RUN_COUNT = 3;
const RUN_MS_MAX = 120_000;
const LOOK_EVERY_MS = 100;

export async function run({ directory, say }) {
  const env = { DYNAMICFS_STATE_DIR: join(directory, 'state') };
  const pool = await makePool(directory, { extentCount: EXTENT_COUNT, threadCount: 2 });
  const path = pool.path;
  await pool.close();
  const agent = await startAgent(env);
  const runs = [];
  try {
    for (let count = 1; count <= RUN_COUNT; count += 1) {
      say(`run ${count} of ${RUN_COUNT}`);
      runs.push(await measureRun(path, env));
    }
  } finally {
    await stopAgent(agent);
  }
  return [
    row(
      'time without a batch at work, beside what the rate limit asks for',
      '%',
      runs.map((one) => one.overheadPercent),
      { below: 3 },
    ),
    row(
      'time that the rate limit asks for',
      '%',
      runs.map((one) => one.limitedPercent),
    ),
    row(
      'batch, start to end',
      'ms',
      runs.flatMap((one) => one.batchMs),
    ),
    row(
      'from the end of one to the start of the next',
      'ms',
      runs.flatMap((one) => one.gapMs),
    ),
    row(
      'rewritten',
      'MiB/s',
      runs.map((one) => one.rate),
    ),
  ];
}

async function measureRun(path, env) {
  await scatterAgain(path);
  const intensity = ['--intensity', 'high', '--threads', '2', '--once'];
  const { run } = runCommand(['defrag', 'start', '--pool', path, ...intensity], env);
  const { poolId, busyMs } = await ended(path, run.runId);
  const batches = await batchesOf(poolId, run.runId, env);
  if (batches.length < EXTENT_COUNT / EXTENTS_PER_BATCH) {
    throw new Error(`only ${batches.length} batches were found`);
  }
  const wallMs = batches.at(-1).finishedOn - batches[0].processedOn;
  const limitedMs = batches.slice(1).reduce((sum, job, index) => {
    const { processedOn, finishedOn } = batches[index];
    const allowedAtMs = Math.min(processedOn + BATCH_INTERVAL_MS, job.processedOn);
    return sum + Math.max(0, allowedAtMs - finishedOn);
  }, 0);
  return {
    overheadPercent: (100 * (wallMs - busyMs - limitedMs)) / wallMs,
    limitedPercent: (100 * limitedMs) / wallMs,
    batchMs: batches.map((job) => job.finishedOn - job.processedOn),
    gapMs: batches.slice(1).map((job, index) => job.processedOn - batches[index].finishedOn),
    rate: (EXTENT_COUNT * EXTENT_BYTES) / MIB / (wallMs / 1000),
  };
}

/** The jobs of a run, as BullMQ remembers them, in the order in which they began. */
async function batchesOf(poolId, runId, env) {
  const queue = new Queue('defrag-batch', {
    connection: { path: join(env.DYNAMICFS_STATE_DIR, 'redis.sock') },
    prefix: `{dynamicfs-${poolId}}`,
  });
  const jobs = await queue.getJobs(['completed'], 0, 1_000);
  await queue.close();
  return jobs
    .filter((job) => job.data.runId === runId)
    .sort((a, b) => a.processedOn - b.processedOn);
}

async function scatterAgain(path) {
  const pool = ExtentPool.open(path);
  scatter(pool, PIECE_COUNT);
  await pool.close();
}

/**
 * Waits for the end of a run, in the catalogue itself: a command every 100 ms would take time from it.
 */
async function ended(path, runId) {
  const pool = ExtentPool.open(path, { mode: 'read' });
  try {
    const giveUpAtMs = Date.now() + RUN_MS_MAX;
    while (pool.context.store.runs.get(runId)?.state === 'running') {
      if (Date.now() > giveUpAtMs) throw new Error(`run ${runId} is still running`);
      await sleep(LOOK_EVERY_MS);
    }
    const { state, progress } = pool.context.store.runs.get(runId);
    if (state !== 'completed' || progress.doneCount < EXTENT_COUNT) {
      throw new Error(`run ${runId} is ${state} after ${progress.doneCount} extents`);
    }
    // BullMQ ends the last job a moment after the run.
    await sleep(LOOK_EVERY_MS);
    return { poolId: pool.id, busyMs: progress.busyMs };
  } finally {
    await pool.close();
  }
}
