/**
 * Trimming mounted ext4, XFS and Btrfs against fstrim, while somebody writes.
 *
 * One image per file system, restored for each run: small and middling files and two large ones, of
 * which about 1.6 GiB were deleted and not trimmed. A writer overwrites 4 KiB at a time with
 * O_DIRECT, 200 times a second; a write counts from when it was due. XFS's FITRIM returns before its
 * discards are done, so both sides are timed until the device has nothing under way.
 * Then the trim is repeated, with nobody writing: that ratio is to fstrim's first run.
 * Rounds alternate fstrim and ours; ours runs in a thread, as in an agent.
 */

import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { build } from 'esbuild';
import { Piscina } from 'piscina';
import { REPOSITORY } from './support/child.mjs';
import { logUniform, MIB, row, seededRandom } from './support/figures.mjs';

export const title = 'Trimming mounted file systems while somebody writes, against fstrim.';

const ROUND_COUNT = Number(process.env.DYNAMICFS_BENCH_ROUNDS ?? 3);
const ONLY = process.env.DYNAMICFS_BENCH_ONLY?.split(',');
export const isPartial = ONLY !== undefined;
const IMAGE_BYTES = 4096 * MIB;
const WRITES_PER_SECOND = 200;
const FILE_SYSTEMS = {
  ext4: {
    mkfs: ['mkfs.ext4', '-qF', '-b', '4096', '-E', 'nodiscard,lazy_itable_init=0'],
    options: [],
  },
  xfs: { mkfs: ['mkfs.xfs', '-qfK'], options: [] },
  // discard=async would leave nothing to trim.
  btrfs: { mkfs: ['mkfs.btrfs', '-qfK'], options: ['-o', 'nodiscard'] },
};
/** Ours to fstrim's: longest stall, wall time, repeated trim. */
const TARGETS = { ext4: [1, 2, 0.05], xfs: [0.25, 2, 0.05], btrfs: [1, 2, 0.05] };

export async function run({ directory, say }) {
  const trim = await loadTrim(directory);
  const rows = [];
  for (const fsType of Object.keys(FILE_SYSTEMS)) {
    if (ONLY && !ONLY.includes(fsType)) continue;
    const bench = makeImage(directory, fsType);
    const rounds = [];
    for (let round = 0; round < ROUND_COUNT; round += 1) {
      say(`${fsType}, round ${round + 1} of ${ROUND_COUNT}`);
      const peer = await withMount(bench, (mounted) => measure(mounted, () => fstrim(mounted)));
      const ours = await withMount(bench, async (mounted) => {
        const memory = { remembered: [] };
        const first = await measure(mounted, () => ourTrim(trim, mounted, memory));
        // The writer of before has changed the file system, on Btrfs with each write.
        await ourTrim(trim, mounted, memory);
        const startedAtMs = performance.now();
        await ourTrim(trim, mounted, memory);
        return { ...first, againMs: performance.now() - startedAtMs };
      });
      if (ours.freedBytes < peer.freedBytes * 0.98) {
        throw new Error(
          `${fsType}: freed ${ours.freedBytes} where fstrim freed ${peer.freedBytes}`,
        );
      }
      rounds.push({ peer, ours });
    }
    rows.push(...rowsOf(fsType, rounds));
    rmSync(bench.masterPath);
  }
  await trim.threads.close();
  return rows;
}

function rowsOf(fsType, rounds) {
  const [stall, wall, again] = TARGETS[fsType];
  const over = (pick) => rounds.map(pick);
  return [
    row(
      `${fsType}, longest stall, fstrim`,
      'ms',
      over(({ peer }) => peer.longestMs),
    ),
    row(
      `${fsType}, longest stall, ours`,
      'ms',
      over(({ ours }) => ours.longestMs),
    ),
    row(
      `${fsType}, longest stall, ours to fstrim`,
      'ratio',
      over((r) => r.ours.longestMs / r.peer.longestMs),
      { below: stall },
    ),
    row(
      `${fsType}, wall, fstrim`,
      'ms',
      over(({ peer }) => peer.wallMs),
    ),
    row(
      `${fsType}, wall, ours to fstrim`,
      'ratio',
      over((r) => r.ours.wallMs / r.peer.wallMs),
      { below: wall },
    ),
    row(
      `${fsType}, repeated, ours to fstrim's first`,
      'ratio',
      over((r) => r.ours.againMs / r.peer.wallMs),
      { below: again },
    ),
  ];
}

/** The module that the agent uses, bundled for this process; its tasks run from dist/. */
async function loadTrim(directory) {
  const outfile = join(directory, 'trim-mount.mjs');
  await build({
    stdin: {
      contents: `export { trimMount } from './src/pool/fs-pool/trim-mount.ts';
        export { detectMount } from './src/kernel/mount-info.ts';`,
      resolveDir: REPOSITORY,
    },
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
  });
  const threads = new Piscina({ minThreads: 1, maxThreads: 1 });
  const workers = {
    run: async (kind, task) => {
      const filename = join(REPOSITORY, 'dist', 'workers', `${kind}.js`);
      const reply = await threads.run(task, { filename });
      if (!reply.ok) throw new Error(reply.error.message);
      return reply.value;
    },
  };
  return { ...(await import(pathToFileURL(outfile).href)), workers, threads };
}

async function ourTrim({ trimMount, detectMount, workers }, { mountPath }, memory) {
  const rows = new Map(memory.remembered.map((window) => [window.startBytes, window]));
  const report = await trimMount({
    workers,
    mount: detectMount(mountPath),
    runId: `run ${performance.now()}`,
    remembered: memory.remembered,
    cursorBytes: null,
    minLengthBytes: 0,
    stopFlag: null,
    clock: () => 0,
    onWindow: ({ planned, remember }) => {
      rows.delete(planned.window.startBytes);
      if (remember) rows.set(remember.startBytes, remember);
    },
  });
  if (report.firstError) throw new Error(report.firstError.message);
  memory.remembered = [...rows.values()];
  return report;
}

function fstrim({ mountPath }) {
  return promisify(execFile)('fstrim', [mountPath]);
}

/** @returns what the writer met, how long the trim took, and what the image gave back. */
async function measure(mounted, body) {
  const control = new SharedArrayBuffer(4);
  const state = new Int32Array(control);
  const writer = new Worker(new URL('./support/stall-writer.mjs', import.meta.url), {
    workerData: {
      path: join(mounted.mountPath, 'writer'),
      writesPerSecond: WRITES_PER_SECOND,
      control,
    },
  });
  await once(writer, 'message');
  await sleep(1000);
  const beforeBytes = allocatedBytes(mounted.imagePath);
  Atomics.store(state, 0, 1);
  const startedAtMs = performance.now();
  await body();
  await deviceIsQuiet(mounted.device);
  const wallMs = performance.now() - startedAtMs;
  await sleep(300);
  Atomics.store(state, 0, 2);
  const [stalls] = await once(writer, 'message');
  execFileSync('sync', ['-f', mounted.mountPath]);
  return { ...stalls, wallMs, freedBytes: beforeBytes - allocatedBytes(mounted.imagePath) };
}

/** Until its discard counter stands still: the writer goes on all the time. */
async function deviceIsQuiet(device) {
  const discards = () =>
    readFileSync(`/sys/block/${basename(device)}/stat`, 'utf8')
      .trim()
      .split(/\s+/)[13];
  for (let seen = null, quiet = 0; quiet < 2; ) {
    const now = discards();
    const underWay = Number(
      readFileSync(`/sys/block/${basename(device)}/inflight`, 'utf8')
        .trim()
        .split(/\s+/)[1],
    );
    quiet = now === seen && underWay <= 1 ? quiet + 1 : 0;
    seen = now;
    await sleep(1);
  }
}

async function withMount({ fsType, masterPath, imagePath, mountPath }, body) {
  execFileSync('cp', ['--sparse=always', '--reflink=never', masterPath, imagePath]);
  execFileSync('sync', ['-f', imagePath]);
  const mounted = attach(fsType, imagePath, mountPath);
  try {
    return await body(mounted);
  } finally {
    detach(mounted);
    rmSync(imagePath);
  }
}

function makeImage(directory, fsType) {
  const [masterPath, imagePath, mountPath] = ['master', 'image', 'mount'].map((name) =>
    join(directory, `${fsType}.${name}`),
  );
  mkdirSync(mountPath);
  writeFileSync(imagePath, '');
  truncateSync(imagePath, IMAGE_BYTES);
  const [program, ...args] = FILE_SYSTEMS[fsType].mkfs;
  execFileSync(program, [...args, imagePath], { stdio: 'pipe' });
  const mounted = attach(fsType, imagePath, mountPath);
  try {
    fill(mountPath);
  } finally {
    detach(mounted);
  }
  renameSync(imagePath, masterPath);
  return { fsType, masterPath, imagePath, mountPath };
}

function fill(mountPath) {
  const random = seededRandom(42);
  const sizes = [64 * MIB];
  for (let total = 0; total < 1000 * MIB; total += sizes.at(-1)) {
    const isLarge = sizes.length % 40 === 0;
    sizes.push(isLarge ? 128 * MIB : Math.round(logUniform(random, 4096, 4 * MIB)));
  }
  sizes.push(900 * MIB);
  const paths = sizes.map((_, index) => join(mountPath, index === 0 ? 'writer' : `file-${index}`));
  const chunk = Buffer.alloc(MIB, 0xa5);
  for (const [index, path] of paths.entries()) {
    const fd = openSync(path, 'w');
    for (let at = 0; at < sizes[index]; at += MIB) {
      writeSync(fd, chunk, 0, Math.min(MIB, sizes[index] - at));
    }
    if (index === 0) fsyncSync(fd);
    closeSync(fd);
  }
  execFileSync('sync', ['-f', mountPath]);
  for (const [index, path] of paths.entries()) {
    if (index > 0 && (index === paths.length - 1 || random() < 0.6)) rmSync(path);
  }
  execFileSync('sync', ['-f', mountPath]);
}

function attach(fsType, imagePath, mountPath) {
  const args = ['--find', '--show', '--direct-io=on', imagePath];
  const device = execFileSync('losetup', args, { encoding: 'utf8' }).trim();
  execFileSync('mount', ['-t', fsType, ...FILE_SYSTEMS[fsType].options, device, mountPath]);
  return { device, mountPath, imagePath };
}

function detach({ device, mountPath }) {
  execFileSync('umount', [mountPath]);
  execFileSync('losetup', ['--detach', device]);
}

function allocatedBytes(path) {
  return statSync(path).blocks * 512;
}
