/**
 * What the ledger says a defragmentation gained, against cold reads by a program of its own.
 *
 * An extent pool on a raw loop device, extents of 4 MiB in 64 pieces, and files of 1 MiB in 64 pieces on
 * a mounted ext4. A reclamation through an agent, the governor on, makes them whole, and enters into the
 * ledger how long a sample of them (64 MiB at most) took to read before and after. A C program reads all
 * of them, before and after, past the page cache, and on ext4 `cat` does with an empty one.
 *
 * Of 64 MiB the sample is all there is, so both read the same: their "after to before" must agree. Of
 * 384 MiB the program reads six times what the sample has; how far the two are apart there tells what the
 * host's cache, which holds a sample more easily, does to the ledger.
 *
 * The control is a run that gains nothing: 64 MiB in two large pieces each, which take as long to read as
 * one. There the ledger must say 1, or a pool that gains nothing would be held for one that does.
 *
 * What sampling costs is seen from outside, in the store: from its begin until its row is there, and from
 * the end of the run until its end. A run that was not measured, since others used the disk, is told and
 * not counted.
 */

import { spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { ExtentPool } from '../dist/index.js';
import { startAgent, stopAgent } from './support/agent.mjs';
import { COMMAND, runCommand } from './support/child.mjs';
import { catMs, compileColdRead, filesMs, replicasMs } from './support/cold-reads.mjs';
import { MIB, row } from './support/figures.mjs';
import { EXTENT_BYTES, extentsOf, freePending, scatter } from './support/fragmented-pool.mjs';
import { LoopMount } from './support/loop-mount.mjs';
import { makeFragments } from './support/make-fragments.mjs';
import { RawDevice } from './support/raw-device.mjs';
import { adopt, removeScratch, scratchDirectory } from './support/scratch.mjs';

export const title = 'What a defragmentation gains by the ledger, against cold reads of its own.';

const ROUND_COUNT = Number(process.env.DYNAMICFS_BENCH_ROUNDS ?? 3);
const ONLY = process.env.DYNAMICFS_BENCH_ONLY?.split(',');
export const isPartial = ONLY !== undefined;
const IMAGE_BYTES = 4096 * MIB;
const DEVICE_BYTES = 1536 * MIB;
/** What is worn, by which rows it has. Halves of files end with a whole read: they read as one. */
const SIZES = {
  sample: { totalBytes: 64 * MIB, pieceCount: 64, fileBytes: MIB },
  more: { totalBytes: 384 * MIB, pieceCount: 64, fileBytes: MIB },
  control: { totalBytes: 64 * MIB, pieceCount: 2, fileBytes: 16 * MIB },
};
/** A file that was just written is left alone: src/domain/fs-runs.ts. */
const QUIET_MS = 11_000;
const POLL_MS = 5;
const MEASURED_MS_MAX = 15_000;
const TARGETS = { ', at least': { atLeast: 0.8 }, ', at most': { below: 1.25 } };
const CONTROL_TARGETS = { ', at least': { atLeast: 0.9 }, ', at most': { below: 1.1 } };
const KINDS = { pool: makeExtents, ext4: makeFiles };

export async function run({ directory, say }) {
  const program = compileColdRead(directory);
  const rows = [];
  for (const kind of Object.keys(KINDS)) {
    for (const [size, shape] of Object.entries(SIZES)) {
      if (ONLY && !ONLY.includes(kind) && !ONLY.includes(`${kind}-${size}`)) continue;
      const scratch = scratchDirectory('payback', directory);
      const stateDirectory = scratchDirectory('state', '/dev/shm');
      const env = { DYNAMICFS_STATE_DIR: stateDirectory };
      const worn = await KINDS[kind]({ directory: scratch, program, env, ...shape });
      try {
        const measured = await rounds(worn, env, say);
        if (size === 'control') rows.push(...controlRows(kind, measured));
        else rows.push(...rowsOf(`${kind} ${shape.totalBytes / MIB} MiB`, size, measured));
      } finally {
        worn.remove();
        removeScratch(stateDirectory);
        removeScratch(scratch);
      }
    }
  }
  return rows;
}

async function rounds(worn, env, say) {
  const measured = [];
  for (let round = 0; round < ROUND_COUNT; round += 1) {
    const figures = await measure(worn, env, round);
    say(`${worn.name}, round ${round + 1} of ${ROUND_COUNT}: ${inWords(figures, worn.totalBytes)}`);
    if (!figures.skippedReason) measured.push(figures);
  }
  if (measured.length === 0) throw new Error('others used the disk all the time');
  return measured;
}

async function measure(worn, env, round) {
  await worn.wear(round);
  const before = await worn.read();
  const agent = await startAgent(env);
  try {
    runCommand(['policy', 'set', '--pool', worn.path, '--policy', 'aggressive'], env);
    const reclaimed = await reclaim(worn, env);
    if (reclaimed.skippedReason) return reclaimed;
    const after = await worn.read();
    return { ...reclaimed, before, after };
  } finally {
    await stopAgent(agent);
  }
}

/** @returns what the ledger says, and what the store shows of the sampling. */
async function reclaim({ path, storePath }, env) {
  const store = new Database(storePath(), { readonly: true });
  try {
    const newest = store.prepare('SELECT * FROM paybacks ORDER BY run_id DESC LIMIT 1');
    const lastRunId = newest.get()?.run_id ?? 0;
    const args = [COMMAND, 'reclamation', 'run', '--pool', path, '--wait', '--json'];
    const child = adopt(
      spawn(process.execPath, args, { env: { ...process.env, ...env }, stdio: 'ignore' }),
    );
    const exited = once(child, 'exit');
    const payback = () => {
      const one = newest.get();
      return one && one.run_id > lastRunId ? one : null;
    };
    const endAtMs = Date.now() + 60_000;
    let sampledAtMs = null;
    while (child.exitCode === null && Date.now() < endAtMs) {
      if (sampledAtMs === null && payback()) sampledAtMs = Date.now();
      await sleep(POLL_MS);
    }
    const [code] = await exited;
    if (code !== 0) throw new Error(`the reclamation ended with ${code}`);
    for (const lateAtMs = Date.now() + MEASURED_MS_MAX; payback()?.ended_at_ms === null; ) {
      if (Date.now() > lateAtMs) throw new Error('the payback was not measured');
      await sleep(POLL_MS);
    }
    const { run_id: runId, started_at_ms, ended_at_ms, skipped_reason } = payback() ?? {};
    if (runId === undefined) throw new Error('nothing was defragmented');
    if (skipped_reason !== null) return { skippedReason: skipped_reason };
    const run = store.prepare('SELECT * FROM runs WHERE run_id = ?').get(runId);
    const beforeSampleMs = sampledAtMs - started_at_ms;
    const afterSampleMs = ended_at_ms - run.ended_at_ms;
    const { entries } = runCommand(['history', '--pool', path], env);
    const ledger = entries.findLast(({ event }) => event === 'payback-measured').figures;
    return {
      skippedReason: null,
      ledger,
      sampleMs: beforeSampleMs + afterSampleMs,
      runMs: run.ended_at_ms - run.started_at_ms + afterSampleMs,
    };
  } finally {
    store.close();
  }
}

function inWords({ skippedReason, ledger, before, after, sampleMs, runMs }, totalBytes) {
  if (skippedReason) return `not measured: ${skippedReason}`;
  const told = (ledger.afterMs / ledger.beforeMs).toFixed(3);
  const sampled = `${(ledger.sampleBytes / MIB).toFixed(0)} MiB, ${ledger.droppedCount} dropped`;
  const perGib = (ms, bytes) => ((ms / bytes) * 1024 * MIB).toFixed(0);
  const times = (from, to, bytes) => `${perGib(from, bytes)} → ${perGib(to, bytes)} ms a GiB`;
  const byUs = times(ledger.beforeMs, ledger.afterMs, ledger.sampleBytes);
  const read = times(before.directMs, after.directMs, totalBytes);
  return `${told} (${sampled}), ledger ${byUs}, read ${read}, sampling ${sampleMs} of ${runMs} ms`;
}

const told = ({ ledger }) => ledger.afterMs / ledger.beforeMs;
const direct = ({ before, after }) => after.directMs / before.directMs;

function controlRows(kind, rounds) {
  const what = `${kind}, nothing gained, after to before`;
  return [
    ...Object.entries(CONTROL_TARGETS).map(([most, target]) =>
      row(`${what}, by the ledger${most}`, 'ratio', rounds.map(told), target),
    ),
    row(`${what}, by the program`, 'ratio', rounds.map(direct)),
  ];
}

function rowsOf(kind, size, rounds) {
  const over = (pick) => rounds.map(pick);
  const cat = ({ before, after }) => after.catMs / before.catMs;
  const isFiles = rounds[0].before.catMs !== undefined;
  return [
    row(`${kind}, reading after to before, by the ledger`, 'ratio', over(told)),
    row(`${kind}, the same, by the program`, 'ratio', over(direct)),
    ...(isFiles ? [row(`${kind}, the same, by cat`, 'ratio', over(cat))] : []),
    ...Object.entries(size === 'sample' ? TARGETS : { '': null }).map(([most, target]) =>
      row(
        `${kind}, the ledger's to the program's${most}`,
        'ratio',
        over((r) => told(r) / direct(r)),
        target,
      ),
    ),
    row(
      `${kind}, sampling, before and after`,
      'ms',
      over(({ sampleMs }) => sampleMs),
    ),
    row(
      `${kind}, sampling to the run with it`,
      'ratio',
      over(({ sampleMs, runMs }) => sampleMs / runMs),
    ),
  ];
}

/** Extents on a raw device, put into pieces anew for each round. */
async function makeExtents({ directory, program, totalBytes, pieceCount }) {
  const device = new RawDevice(directory, 'payback', DEVICE_BYTES);
  const path = join(directory, 'pool');
  await ExtentPool.create(path).close();
  const withPool = async (body) => {
    const pool = ExtentPool.open(path);
    try {
      return await body(pool);
    } finally {
      await pool.close();
    }
  };
  await withPool(async (pool) => {
    pool.addDisk(device.path, { force: true });
    await pool.writeExtent('bench', randomFillSync(Buffer.alloc(totalBytes)));
  });
  const layout = (pool) => {
    const { store } = pool.context;
    return extentsOf(pool).map(({ extentId }) => store.extents.replicas(extentId)[0].runs);
  };
  return {
    name: 'pool',
    path,
    totalBytes,
    storePath: () => join(path, 'pool.sqlite'),
    wear: () =>
      withPool((pool) => {
        freePending(pool);
        scatter(pool, pieceCount);
      }),
    read: async () => {
      const replicas = await withPool(layout);
      if (replicas.length !== totalBytes / EXTENT_BYTES) throw new Error('extents are missing');
      return { directMs: replicasMs(program, device.path, replicas) };
    },
    remove: () => device.remove(),
  };
}

/** A tree of files for each round, which takes the place of the one before. */
async function makeFiles({ directory, program, env, totalBytes, pieceCount, fileBytes }) {
  const mount = new LoopMount(directory, 'ext4', IMAGE_BYTES);
  const { poolId } = runCommand(['init', '--pool', mount.mountPath], env);
  let paths = [];
  return {
    name: 'ext4',
    path: mount.mountPath,
    totalBytes,
    storePath: () => join(env.DYNAMICFS_STATE_DIR, 'pools', poolId, 'pool.sqlite'),
    wear: async (round) => {
      // Else there are too few pieces among all files, after some rounds of few, for a run.
      rmSync(join(mount.mountPath, `round-${round - 1}`), { recursive: true, force: true });
      const files = Array.from({ length: totalBytes / fileBytes }, (_, n) => ({
        path: join(mount.mountPath, `round-${round}`, `file-${n}`),
        sizeBytes: fileBytes,
        fragmentCount: pieceCount,
      }));
      makeFragments(mount.mountPath, 'ext4', files);
      mount.remount();
      paths = files.map((file) => file.path);
      await sleep(QUIET_MS);
    },
    read: async () => ({ directMs: filesMs(program, paths), catMs: catMs(paths) }),
    remove: () => mount.remove(),
  };
}
