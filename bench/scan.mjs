/**
 * Scans of mounted file systems against the programs people use and the least a C program must do.
 *
 * 200,000 files, one in 20 of them fragmented, on a loop device each. Every round runs, one after the
 * other: the scan as an agent's analysis asks for it (20 worst files with names, no map), the same as a
 * run asks for it (50,000 worst by handle), the peer, the bare interface (scan-limit.c, one thread,
 * which counts and keeps nothing), the walk, the bare walk with as many threads; warm, then cold, after
 * a remount. Peers: `e4defrag -c` on ext4, `find | xargs filefrag` on the others. Our side runs in this
 * process, as it does in the agent; programs are timed from their fork to their end.
 * DYNAMICFS_BENCH_ONLY=ext4 measures one file system, and updates its rows only.
 */

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { measureProgram } from './support/child.mjs';
import { row, seededRandom } from './support/figures.mjs';
import { LoopMount } from './support/loop-mount.mjs';
import { makeFragments } from './support/make-fragments.mjs';

export const title =
  'Counting the fragments of 200,000 files on ext4, XFS and Btrfs, against their own tools and C.';

/** As the pool of threads does it: by the file. */
const { default: scan } = await import(
  new URL('../dist/workers/scan-file-system.js', import.meta.url).href
);

const FILE_COUNT = Number(process.env.DYNAMICFS_BENCH_FILES ?? 200_000);
const FRAGMENTED_SHARE = 0.05;
const DIRECTORY_COUNT = 400;
const THREAD_COUNT = 2;
/** What the agent's analysis asks for, and what its runs do. */
const ANALYSIS = { candidateLimit: 20, nameCount: 20 };
const RUN = { candidateLimit: 50_000, nameCount: 0 };
const ROUND_COUNT = 3;
const IMAGE_BYTES = 24 * 1024 ** 3;
const MKFS_ARGS = {
  ext4: ['-N', String(Math.ceil(FILE_COUNT * 1.2))],
  // The default of xfsprogs 6.5 and later.
  xfs: ['-m', 'rmapbt=1'],
  btrfs: [],
};
const KIB = 1024;
const MIB = 1024 * KIB;

const TARGETS = {
  ext4: { warm: 8, cold: 6 },
  xfs: { warm: 6, cold: 2.5 },
  btrfs: { warm: 10, cold: 3 },
};

const FS_TYPES = (process.env.DYNAMICFS_BENCH_ONLY ?? 'ext4,xfs,btrfs').split(',');
export const isPartial = FS_TYPES.length < Object.keys(TARGETS).length;

export async function run({ directory, say }) {
  if (process.getuid() !== 0) throw new Error('loop devices and mounts need root');
  const limit = compileLimit(directory);
  const rows = [];
  for (const fsType of FS_TYPES) {
    const mount = new LoopMount(directory, fsType, IMAGE_BYTES, MKFS_ARGS[fsType]);
    try {
      say(`${fsType}: making ${FILE_COUNT} files`);
      makeFiles(mount);
      rows.push(...(await compare(mount, limit, say)));
      if (fsType !== 'ext4') rows.push(await compareShared(mount));
    } finally {
      mount.remove();
    }
  }
  rows.push(row('most memory of this process', 'MB', [peakBytes() / MIB], { below: 200 }));
  return rows;
}

function compileLimit(directory) {
  const source = fileURLToPath(new URL('./support/scan-limit.c', import.meta.url));
  const program = join(directory, 'scan-limit');
  execFileSync('gcc', ['-O2', '-pthread', '-w', source, '-o', program]);
  return program;
}

function makeFiles({ mountPath, fsType }) {
  const random = seededRandom(7);
  const content = Buffer.alloc(32 * KIB, 0x5a);
  const fragmented = [];
  for (let index = 0; index < DIRECTORY_COUNT; index += 1) {
    mkdirSync(join(mountPath, `directory-${index}`));
  }
  for (let index = 0; index < FILE_COUNT; index += 1) {
    const path = join(mountPath, `directory-${index % DIRECTORY_COUNT}`, `file-${index}`);
    if (random() < FRAGMENTED_SHARE) {
      const fragmentCount = 2 + Math.floor(random() * 7);
      fragmented.push({ path, sizeBytes: fragmentCount * 4 * 4 * KIB, fragmentCount });
    } else {
      writeFileSync(path, content.subarray(0, 1 + Math.floor(random() * content.length)));
    }
  }
  makeFragments(mountPath, fsType, fragmented);
}

async function compare(mount, limit, say) {
  const { fsType, mountPath } = mount;
  const sides = {
    bulk: () => scanWith(mount, 'auto', ANALYSIS),
    run: () => scanWith(mount, 'auto', RUN),
    peer: () => runPeer(mount),
    limit: () =>
      runLimit(limit, fsType === 'ext4' ? [fsType, mount.devicePath] : [fsType, mountPath]),
    walk: () => scanWith(mount, 'walk', ANALYSIS),
    limitWalk: () => runLimit(limit, ['walk', mountPath, String(THREAD_COUNT)]),
  };
  const warm = [];
  const cold = [];
  for (let round = 0; round < ROUND_COUNT; round += 1) {
    say(`${fsType}: round ${round + 1} of ${ROUND_COUNT}`);
    const ofRound = {};
    for (const [side, body] of Object.entries(sides)) {
      await body();
      ofRound[side] = await body();
    }
    warm.push(ofRound);
    const coldRound = {};
    for (const side of ['bulk', 'run', 'peer', 'limit']) {
      mount.remount();
      coldRound[side] = await sides[side]();
    }
    cold.push(coldRound);
  }
  return rowsOf(fsType, warm, cold);
}

/** Warm once more, when two of the files share their blocks. */
async function compareShared(mount) {
  const { fsType, mountPath } = mount;
  const [from, to] = [0, 1].map((index) => join(mountPath, `directory-${index}`, `file-${index}`));
  execFileSync('cp', ['--reflink=always', from, to]);
  const ratios = [];
  for (let round = 0; round < ROUND_COUNT; round += 1) {
    // The first after the remount before it has to bring the inodes into memory.
    await scanWith(mount, 'auto', ANALYSIS);
    const { wallMs } = await scanWith(mount, 'auto', ANALYSIS);
    runPeer(mount);
    ratios.push(runPeer(mount).wallMs / wallMs);
  }
  const target = { atLeast: TARGETS[fsType].warm };
  return row(`${fsType} with reflinks: scan to its peer, warm`, 'ratio', ratios, target);
}

function rowsOf(fsType, warm, cold) {
  const peer = fsType === 'ext4' ? 'e4defrag -c' : 'find | xargs filefrag';
  const rate = (rounds, side) => rounds.map((round) => FILE_COUNT / (round[side].wallMs / 1000));
  const ratio = (rounds, over, under, of = 'wallMs') =>
    rounds.map((round) => round[over][of] / round[under][of]);
  return [
    row(`${fsType}: scan, warm`, '/s', rate(warm, 'bulk')),
    row(`${fsType}: ${peer}, warm`, '/s', rate(warm, 'peer')),
    row(`${fsType}: scan to ${peer}, warm`, 'ratio', ratio(warm, 'peer', 'bulk'), {
      atLeast: TARGETS[fsType].warm,
    }),
    row(`${fsType}: scan, cold`, '/s', rate(cold, 'bulk')),
    row(`${fsType}: scan to ${peer}, cold`, 'ratio', ratio(cold, 'peer', 'bulk'), {
      atLeast: TARGETS[fsType].cold,
    }),
    row(`${fsType}: walk, warm`, '/s', rate(warm, 'walk')),
    row(`${fsType}: time of the scan to C's, warm`, 'ratio', ratio(warm, 'bulk', 'limit'), {
      below: 1.5,
    }),
    row(`${fsType}: time of the scan to C's, cold`, 'ratio', ratio(cold, 'bulk', 'limit')),
    row(`${fsType}: time of it without names to C's, cold`, 'ratio', ratio(cold, 'run', 'limit')),
    row(`${fsType}: processor time of it to C's`, 'ratio', ratio(warm, 'bulk', 'limit', 'cpuMs')),
    row(`${fsType}: time of the scan for a run to C's`, 'ratio', ratio(warm, 'run', 'limit')),
    row(`${fsType}: time of the walk to C's`, 'ratio', ratio(warm, 'walk', 'limitWalk'), {
      below: 1.3,
    }),
  ];
}

/** @returns what it cost; reading where files lie on the disk begins with a syncfs, as it must. */
async function scanWith({ mountPath, fsType, devicePath }, method, request) {
  const cpuBefore = process.cpuUsage();
  const startedAtMs = performance.now();
  const reply = await scan({
    mountPath,
    subtree: null,
    method,
    fsType,
    devicePaths: [devicePath],
    threadCount: THREAD_COUNT,
    mapCellCount: 0,
    ...request,
    targetFragmentBytes: 64 * MIB,
    nowMs: Date.now(),
    control: null,
  });
  if (!reply.ok) throw new Error(reply.error.message);
  const { fileCount, fallbackReason } = reply.value;
  if (fileCount !== FILE_COUNT || fallbackReason !== null) {
    throw new Error(`the scan found ${fileCount} files: ${fallbackReason}`);
  }
  const wallMs = performance.now() - startedAtMs;
  const { user, system } = process.cpuUsage(cpuBefore);
  return { wallMs, cpuMs: (user + system) / 1000 };
}

function runPeer({ fsType, mountPath }) {
  const program =
    fsType === 'ext4' ? 'e4defrag -c "$0"' : 'find "$0" -xdev -type f -print0 | xargs -0 filefrag';
  return measureProgram('sh', ['-c', program, mountPath]);
}

function runLimit(program, args) {
  return measureProgram(program, args);
}

function peakBytes() {
  const status = readFileSync('/proc/self/status', 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) * KIB;
}
