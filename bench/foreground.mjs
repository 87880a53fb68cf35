/**
 * What programs at work on a mounted ext4, XFS or Btrfs feel of its defragmentation, and on an ext4
 * that holds an extent pool, of that one's.
 *
 * fio reads 4 KiB and writes 64 KiB at random places of two files, with O_DIRECT and at a fixed rate,
 * without a break. Beside it works a run of ours at medium intensity through an agent, with the governor
 * and without it, or the file system's own tool, as it is and with `ionice -c3`; each on files of its own
 * on the same file system, of 1 MiB in pieces of 64 to 192 KiB.
 *
 * Whoever works is frozen (SIGSTOP) every other second: the 99th percentile of the times with it
 * is held against that of the times without it, which lie between them. What else goes on on this machine
 * meets both. How far two idle halves of the same times are apart tells what the ratios are worth.
 *
 * A tool that is done is not counted any more. Ours goes on after fio has ended, until it is done. The
 * state of the agent does not lie on the disk that is measured. fio times a request from its start, not
 * from when it was due: a stall counts for the requests that it met (four at most), not for those that it
 * delayed.
 */

import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startAgent, stopAgent } from './support/agent.mjs';
import { runCommand } from './support/child.mjs';
import { MIB, row } from './support/figures.mjs';
import { filesOf, Ours, Tool } from './support/foreground-contenders.mjs';
import { KINDS, Load, layOut, p99Within } from './support/foreground-load.mjs';
import { makeWornPool, poolPath, wearPool } from './support/foreground-pool.mjs';
import { alone } from './support/gate.mjs';
import { LoopMount } from './support/loop-mount.mjs';
import { makeFragments } from './support/make-fragments.mjs';
import { profileFiles } from './support/move-profiles.mjs';
import { dropCaches } from './support/page-cache.mjs';
import { removeScratch, scratchDirectory } from './support/scratch.mjs';

export const title = 'What fio feels of a defragmentation at medium intensity, and of other tools.';

const ROUND_COUNT = Number(process.env.DYNAMICFS_BENCH_ROUNDS ?? 3);
const ONLY = process.env.DYNAMICFS_BENCH_ONLY?.split(',');
/** Only the rows of what was measured are put into the page. */
export const isPartial = ONLY !== undefined;
const INTENSITY = process.env.DYNAMICFS_BENCH_INTENSITY ?? 'medium';
/** The agent's state is in memory, as on a disk of its own: the tools have none to flush. */
const STATE_ROOT = '/dev/shm';
/** Ours rests, the others are done with as many within seconds. */
const FILE_COUNTS = { ours: 160, free: 480, peer: 640, ionice: 640 };
const FILE_BYTES = MIB;
const IMAGE_BYTES = 12 * 1024 * MIB;
/** Short and many: what else goes on on a machine comes in bursts of seconds, and is to meet both. */
const TURN_COUNT = 24;
const TURN_MS = 1_000;
/** What was under way when the other was frozen or thawed is neither's. */
const BETWEEN_MS = 200;
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
      const figures = {};
      for (const name of contendersOn(fsType)) {
        figures[name] = await measure(bench, name, round);
        say(`${fsType} ${name}: ${inWords(figures[name])}`);
      }
      rounds.push(figures);
    }
  } finally {
    mount.remove();
    removeScratch(stateDirectory);
  }
  return rowsOf(fsType, rounds);
}

function inWords({ idle, work, idleRatio, movedRate }) {
  const each = KINDS.map(
    (kind) =>
      `${kind} ${work[kind].toFixed(2)} of ${idle[kind].toFixed(2)} ms (idle to idle ${idleRatio[kind].toFixed(2)})`,
  );
  return `p99 of ${each.join(', ')}, ${movedRate.toFixed(1)} MiB/s`;
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

async function measure(bench, name, round) {
  const { mountPath } = bench;
  const tree = wornPath(bench, name, round);
  const bytesMoved = await movedBetween(bench, tree);
  dropCaches([]);
  const contender = contenderOf(bench, name, tree);
  await contender.prepare();
  const figures = await alone(() => takeTurns(bench, contender));
  const restMs = name === 'ours' ? await contender.finish() : null;
  await contender.end();
  execFileSync('sync', ['-f', mountPath]);
  const movedBytes = await bytesMoved();
  const tookMs = name === 'ours' ? restMs : figures.workMs;
  return { ...figures, restMs, movedRate: (movedBytes / MIB / tookMs) * 1000 };
}

/** @returns the 99th percentiles in ms, with the contender at work and frozen. */
async function takeTurns({ mountPath, directory, fsType }, contender) {
  const { perSecond } = FILE_SYSTEMS[fsType];
  const load = await Load.begin({ mountPath, directory, perSecond });
  const windows = { idle: [await windowOf(TURN_MS)], work: [] };
  await contender.begin();
  while (windows.work.length < TURN_COUNT) {
    await sleep(BETWEEN_MS);
    const work = await windowOf(TURN_MS);
    if (contender.isOver && windows.work.length > 0) break;
    windows.work.push(work);
    await contender.freeze();
    await sleep(BETWEEN_MS);
    windows.idle.push(await windowOf(TURN_MS));
    contender.thaw();
  }
  const logs = await load.end();
  const p99 = (of) => Object.fromEntries(KINDS.map((kind) => [kind, p99Within(logs[kind], of)]));
  const half = (rest) => p99(windows.idle.filter((_, n) => n % 2 === rest));
  const [even, odd] = [half(0), half(1)];
  return {
    idle: p99(windows.idle),
    work: p99(windows.work),
    idleRatio: Object.fromEntries(KINDS.map((kind) => [kind, odd[kind] / even[kind]])),
    workMs: windows.work.length * TURN_MS,
  };
}

async function windowOf(durationMs) {
  const beganAtMs = Date.now();
  await sleep(durationMs);
  return { beganAtMs, endedAtMs: Date.now() };
}

function contenderOf({ env, fsType, mountPath }, name, tree) {
  if (OURS.includes(name)) {
    const isPool = fsType === 'pool';
    const where = isPool ? [] : ['--path', tree, '--min-age', '0'];
    const how = [...where, '--once', '--intensity', INTENSITY];
    const pool = isPool ? poolPath(mountPath) : mountPath;
    return new Ours({ ...env, DYNAMICFS_GOVERNOR: GOVERNOR[name] }, pool, how);
  }
  return new Tool([...(name === 'ionice' ? ['ionice', '-c3'] : []), ...peerOn(fsType, tree)]);
}

function peerOn(fsType, tree) {
  if (fsType === 'ext4') return ['e4defrag', tree];
  if (fsType === 'btrfs') return ['btrfs', 'filesystem', 'defragment', '-r', tree];
  return ['xfs_fsr', ...filesOf(tree)];
}

/** @returns what tells how many bytes lie better than now. */
async function movedBetween({ fsType, mountPath }, tree) {
  if (fsType === 'pool') return await wearPool(mountPath);
  const before = fragmentCounts(tree);
  return async () => movedBytes(before, fragmentCounts(tree));
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
  const over = (pick) => rounds.map(pick);
  const idle = KINDS.flatMap((kind) => [
    row(
      `${fsType}, ${kind}: p99 idle`,
      'µs',
      over((r) => r.ours.idle[kind] * 1000),
    ),
    row(
      `${fsType}, ${kind}: p99 idle to idle`,
      'ratio',
      over((r) => r.ours.idleRatio[kind]),
    ),
  ]);
  const each = contendersOn(fsType).flatMap((name) => [
    ...KINDS.map((kind) =>
      row(
        `${fsType}, ${kind}: p99 to idle, ${labels[name]}`,
        'ratio',
        over((r) => r[name].work[kind] / r[name].idle[kind]),
        name === 'ours' ? { below: RATIO_MAX } : null,
      ),
    ),
    row(
      `${fsType}: moved, ${labels[name]}${name === 'ours' ? ', once fio has ended' : ''}`,
      'MiB/s',
      over((r) => r[name].movedRate),
    ),
  ]);
  return [...idle, ...each];
}
