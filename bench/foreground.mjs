/**
 * What programs at work on a mounted ext4, XFS or Btrfs feel of its defragmentation, and on an ext4
 * that holds an extent pool, of that one's.
 *
 * fio reads 4 KiB and writes 64 KiB at random places of two files, with O_DIRECT and at a fixed rate.
 * Its 99th percentiles are taken with nobody else at work, during a run of ours at medium intensity
 * through an agent, with the governor and without it, and while the file system's own tool works, as it
 * is and with `ionice -c3`.
 * Each works on files of its own on the same file system: 1 MiB each, in pieces of 64 to 192 KiB. A
 * contender that is not done after WINDOW_MS is stopped; one that is done earlier counts until then.
 * A ratio is to the mean of two idle measurements of the same round, before and after ours. Ours counts
 * from SETTLE_MS after its begin, when its threads have started. The state of the agent does not lie on the disk
 * that is measured.
 *
 * fio times a request from its start, not from when it was due: a stall counts for the requests that
 * it met (four at most), not for those that it delayed.
 */

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startAgent, stopAgent } from './support/agent.mjs';
import { runCommand } from './support/child.mjs';
import { MIB, row } from './support/figures.mjs';
import { layOut, underLoad } from './support/foreground-load.mjs';
import { makeWornPool, poolPath, wearPool } from './support/foreground-pool.mjs';
import { LoopMount } from './support/loop-mount.mjs';
import { makeFragments } from './support/make-fragments.mjs';
import { profileFiles } from './support/move-profiles.mjs';
import { dropCaches } from './support/page-cache.mjs';
import { adopt, removeScratch, scratchDirectory } from './support/scratch.mjs';

export const title = 'What fio feels of a defragmentation at medium intensity, and of other tools.';

const ROUND_COUNT = Number(process.env.DYNAMICFS_BENCH_ROUNDS ?? 3);
const ONLY = process.env.DYNAMICFS_BENCH_ONLY?.split(',');
/** Only the rows of what was measured are put into the page. */
export const isPartial = ONLY !== undefined;
const INTENSITY = process.env.DYNAMICFS_BENCH_INTENSITY ?? 'medium';
/** The agent's state is in memory, as on a disk of its own: the tools have none to flush. */
const STATE_ROOT = '/dev/shm';
/** Ours rests, the others are done with as many within a second. */
const FILE_COUNTS = { ours: 160, free: 160, peer: 640, ionice: 640 };
const FILE_BYTES = MIB;
const WINDOW_MS = 6_000;
const IMAGE_BYTES = 12 * 1024 * MIB;
const SETTLE_MS = 1_500;
const RATIO_MAX = 1.2;
const FILE_SYSTEMS = {
  ext4: { peer: 'e4defrag', perSecond: { reads: 1000, writes: 200 } },
  xfs: { peer: 'xfs_fsr', perSecond: { reads: 1000, writes: 200 } },
  // More copies on write than these are near what Btrfs can do on this disk.
  btrfs: { peer: 'btrfs', perSecond: { reads: 300, writes: 100 } },
  pool: { peer: null, perSecond: { reads: 1000, writes: 200 } },
};
const OURS = ['ours', 'free'];
const GOVERNOR = { ours: 'on', free: 'off' };

export async function run({ directory, say }) {
  const rows = [];
  for (const fsType of Object.keys(FILE_SYSTEMS)) {
    if (ONLY && !ONLY.includes(fsType)) continue;
    rows.push(...(await runOn({ directory, say, fsType })));
  }
  return rows;
}

function contendersOn(fsType) {
  return FILE_SYSTEMS[fsType].peer === null ? OURS : [...OURS, 'peer', 'ionice'];
}

async function runOn({ directory, say, fsType }) {
  const stateDirectory = scratchDirectory('state', STATE_ROOT);
  const env = { DYNAMICFS_STATE_DIR: stateDirectory };
  const mount = new LoopMount(directory, fsType === 'pool' ? 'ext4' : fsType, IMAGE_BYTES);
  const bench = { mount, env, directory, fsType, mountPath: mount.mountPath };
  const rounds = [];
  try {
    layOut(mount.mountPath);
    await prepare(bench);
    for (let round = 0; round < ROUND_COUNT; round += 1) {
      const figures = await measureRound(bench, round);
      for (const [name, { p99, movedRate }] of Object.entries(figures)) {
        const [reads, writes] = [p99.reads, p99.writes].map((ms) => ms.toFixed(2));
        say(`${fsType} ${name}: p99 ${reads} and ${writes} ms, ${movedRate.toFixed(1)} MiB/s`);
      }
      rounds.push(figures);
    }
  } finally {
    mount.remove();
    removeScratch(stateDirectory);
  }
  return rowsOf(fsType, rounds);
}

async function prepare(bench) {
  const { fsType, mountPath, mount, env } = bench;
  if (fsType === 'pool') {
    await makeWornPool(mountPath);
    return;
  }
  for (let round = 0; round < ROUND_COUNT; round += 1) {
    for (const name of contendersOn(fsType)) makeWorn(bench, name, round);
  }
  mount.remount();
  const agent = await startAgent(env);
  runCommand(['init', '--pool', mountPath], env);
  await stopAgent(agent);
}

function wornPath({ mountPath }, name, round) {
  return join(mountPath, `${name}-${round}`);
}

function makeWorn({ mount, fsType, mountPath }, name, round) {
  const path = wornPath({ mountPath }, name, round);
  makeFragments(mountPath, fsType, profileFiles(path, 'large', FILE_COUNTS[name], FILE_BYTES));
  mount.remount();
}

async function measureRound(bench, round) {
  const { fsType, directory, mountPath } = bench;
  const load = { mountPath, directory, windowMs: WINDOW_MS, ...FILE_SYSTEMS[fsType] };
  const figures = { idle: { ...(await underLoad(load, idle)), movedRate: 0 } };
  const works = {
    ours: (tree, over) => ours(bench, tree, over),
    free: (tree, over) => ours(bench, tree, over),
    peer: (tree, over) => tool([], peerOn(fsType, tree), over),
    ionice: (tree, over) => tool(['ionice', '-c3'], peerOn(fsType, tree), over),
  };
  for (const name of contendersOn(fsType)) {
    const agent = GOVERNOR[name] && (await startAgent({ ...bench.env, ...governor(name) }));
    const tree = wornPath(bench, name, round);
    const bytesMoved = await movedBetween(bench, tree);
    dropCaches([]);
    const figure = await underLoad(load, (over) => works[name](tree, over));
    const tookMs = figure.endedAtMs - figure.beganAtMs;
    if (agent) await stopAgent(agent);
    execFileSync('sync', ['-f', mountPath]);
    figures[name] = { ...figure, movedRate: ((await bytesMoved()) / MIB / tookMs) * 1000 };
    if (name === 'ours') figures.idle = mean(figures.idle, await underLoad(load, idle));
  }
  return figures;
}

function mean(a, b) {
  const ofKind = (kind) => (a.p99[kind] + b.p99[kind]) / 2;
  return { ...a, p99: { reads: ofKind('reads'), writes: ofKind('writes') } };
}

function governor(name) {
  return { DYNAMICFS_GOVERNOR: GOVERNOR[name] };
}

/** @returns what tells how many bytes lie better than now. */
async function movedBetween({ fsType, mountPath }, tree) {
  if (fsType === 'pool') return await wearPool(mountPath);
  const before = fragmentCounts(tree);
  return async () => movedBytes(before, fragmentCounts(tree));
}

async function idle(over) {
  const beganAtMs = Date.now();
  await over;
  return { beganAtMs, endedAtMs: Date.now() };
}

/** The command has ended, with its run begun, before the time counts. */
async function ours({ env, mountPath, fsType }, tree, over) {
  const isPool = fsType === 'pool';
  const pool = ['--pool', isPool ? poolPath(mountPath) : mountPath];
  const where = isPool ? [] : ['--path', tree, '--min-age', '0'];
  const how = [...where, '--once', '--intensity', INTENSITY];
  runCommand(['defrag', 'start', ...pool, ...how], env);
  await sleep(SETTLE_MS);
  const beganAtMs = Date.now();
  await over;
  const endedAtMs = Date.now();
  const { run } = runCommand(['defrag', 'stop', ...pool], env);
  if (run.state === 'completed') throw new Error('it was done too soon: more files are needed');
  if (run.failedCount > 0) throw new Error(`${run.failedCount} files failed`);
  return { beganAtMs, endedAtMs };
}

function peerOn(fsType, tree) {
  if (fsType === 'ext4') return ['e4defrag', tree];
  if (fsType === 'btrfs') return ['btrfs', 'filesystem', 'defragment', '-r', tree];
  return ['xfs_fsr', ...filesOf(tree)];
}

async function tool(prefix, command, over) {
  const [program, ...args] = [...prefix, ...command];
  const beganAtMs = Date.now();
  const child = adopt(spawn(program, args, { stdio: 'ignore' }));
  const ended = once(child, 'exit');
  await Promise.race([ended, over]);
  const endedAtMs = Date.now();
  child.kill('SIGKILL');
  await ended;
  return { beganAtMs, endedAtMs };
}

function filesOf(tree) {
  return readdirSync(tree, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

function fragmentCounts(tree) {
  const paths = filesOf(tree);
  const lines = execFileSync('filefrag', paths, { encoding: 'utf8' }).trim().split('\n');
  return new Map(paths.map((path, at) => [path, Number(/(\d+) extent/.exec(lines[at])?.[1])]));
}

/** Bytes of the files that have fewer fragments than before. */
function movedBytes(before, after) {
  let bytes = 0;
  for (const [path, count] of before) if (after.get(path) < count) bytes += statSync(path).size;
  return bytes;
}

function rowsOf(fsType, rounds) {
  const { peer } = FILE_SYSTEMS[fsType];
  const labels = {
    ours: `ours at ${INTENSITY}`,
    free: `ours at ${INTENSITY} without governor`,
    peer,
    ionice: `${peer}, ionice -c3`,
  };
  const kinds = ['reads', 'writes'];
  const over = (pick) => rounds.map(pick);
  return [
    ...kinds.map((kind) =>
      row(
        `${fsType}, ${kind}: p99 idle`,
        'µs',
        over(({ idle }) => idle.p99[kind] * 1000),
      ),
    ),
    ...contendersOn(fsType).flatMap((name) => [
      ...kinds.map((kind) =>
        row(
          `${fsType}, ${kind}: p99 to idle, ${labels[name]}`,
          'ratio',
          over((r) => r[name].p99[kind] / r.idle.p99[kind]),
          name === 'ours' ? { below: RATIO_MAX } : null,
        ),
      ),
      row(
        `${fsType}: moved, ${labels[name]}`,
        'MiB/s',
        over((r) => r[name].movedRate),
      ),
    ]),
  ];
}
