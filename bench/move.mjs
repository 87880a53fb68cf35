/**
 * Defragmenting mounted ext4, XFS and Btrfs against e4defrag, xfs_fsr and btrfs.
 *
 * Three profiles, each on an image restored for each run: 20,000 small and middling files of which
 * 30 % lie in 2–16 pieces; 8 files of 256 MiB in about 2,000 pieces each; and the same with hardly
 * any room outside the holes between them (DYNAMICFS_BENCH_SCALE shrinks all). Each run starts with cold caches and ends with a sync. Ours
 * begins with a scan, as the peers do; two threads, as an agent has.
 * Rounds alternate the contenders, and which of them begins. After each run every file must be as it was.
 * "For nothing" is what was rewritten without fewer fragments coming of it. Beside large files and
 * ext4 a C program does the bare work and nothing else (move-limit.c): three passes on XFS and Btrfs, MOVE_EXT on
 * ext4, and for its large files two passes: what the disk can copy.
 *
 * DYNAMICFS_BENCH_ONLY=btrfs or btrfs-large measures a part, and updates its rows only;
 * DYNAMICFS_BENCH_ROUNDS says how often.
 */

import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { row } from './support/figures.mjs';
import { makeFragments } from './support/make-fragments.mjs';
import { compileMoveLimit, limitRows, limitsOf, runMoveLimit } from './support/move-limit.mjs';
import { runOurs } from './support/move-ours.mjs';
import { fillBetween, profileFiles } from './support/move-profiles.mjs';
import { dropCaches, filesIn } from './support/page-cache.mjs';

export const title = 'Defragmenting mounted file systems, against the tool of each.';

const SCALE = Number(process.env.DYNAMICFS_BENCH_SCALE ?? 0.2);
const ROUND_COUNT = Number(process.env.DYNAMICFS_BENCH_ROUNDS ?? 2);
const MIB = 1024 * 1024;
/** Of the full image: so many files have room outside the holes. */
const SPARE_FILES = 1.5;
const PROFILES = {
  many: { count: Math.round(20_000 * SCALE), fileBytes: 0 },
  large: { count: 8, fileBytes: Math.round(256 * SCALE) * MIB },
  full: { count: 8, fileBytes: Math.round(256 * SCALE) * MIB },
};
const PEERS = {
  ext4: {
    mkfs: ['mkfs.ext4', '-qF'],
    name: 'e4defrag',
    peer: (mount) => ['e4defrag', join(mount, 'data')],
  },
  xfs: { mkfs: ['mkfs.xfs', '-qf'], name: 'xfs_fsr', peer: (_, device) => ['xfs_fsr', device] },
  btrfs: {
    mkfs: ['mkfs.btrfs', '-qf'],
    name: 'btrfs',
    peer: (mount) => ['btrfs', 'filesystem', 'defragment', '-r', join(mount, 'data')],
  },
};
const TARGETS = {
  many: { ext4: [3, 5], xfs: [1.3, 1.8], btrfs: [0.8, 1.1] },
  large: { ext4: [4, 8], xfs: [0.65, 1], btrfs: [0.65, 1] },
  /** Only what is left behind counts there. */
  full: { ext4: [], xfs: [], btrfs: [] },
};
const PARTS = process.env.DYNAMICFS_BENCH_ONLY?.split(',');
export const isPartial = PARTS !== undefined;

export async function run({ directory, say }) {
  const rows = [];
  for (const fsType of Object.keys(PEERS)) {
    for (const profile of Object.keys(PROFILES)) {
      if (PARTS && !PARTS.includes(fsType) && !PARTS.includes(`${fsType}-${profile}`)) continue;
      rows.push(...(await runProfile({ directory, say, fsType, profile })));
    }
  }
  return rows;
}

async function runProfile({ directory, say, fsType, profile }) {
  const bench = makeImage(directory, fsType, profile);
  const contenders = {
    peer: (mounted) => runPeer(PEERS[fsType].peer, mounted),
    verified: (mounted) => runOurs(mounted, fsType, true),
    plain: (mounted) => runOurs(mounted, fsType, false),
  };
  const limits = limitsOf(`${fsType}-${profile}`);
  const program = limits.length > 0 ? compileMoveLimit(directory) : undefined;
  const names = [...bench.files].flatMap(([name, file]) => (file.fragmentCount > 1 ? [name] : []));
  for (const limit of limits) {
    contenders[limit.work] = (mounted) => runMoveLimit(program, limit, mounted, names);
  }
  const rounds = [];
  for (let round = 0; round < ROUND_COUNT; round += 1) {
    const figures = {};
    for (const [name, contender] of turned(Object.entries(contenders), round)) {
      figures[name] = await withCopy(bench, fsType, contender);
      const { ms, after, wasteRatio } = figures[name];
      const rate = bench.fragmentedBytes / MIB / (ms / 1000);
      say(
        `${fsType} ${profile} ${name}: ${ms.toFixed(0)} ms, ${rate.toFixed(0)} MB/s, ` +
          `fragments ${bench.fragmentCount} → ${after.fragmentCount}, worse ${after.worseCount}` +
          (wasteRatio === undefined ? '' : `, for nothing ${(100 * wasteRatio).toFixed(2)} %`),
      );
    }
    rounds.push(figures);
  }
  const over = (pick) => rounds.map(pick);
  const [verified, plain] = TARGETS[profile][fsType];
  const label = `${fsType} ${profile}`;
  return [
    row(
      `${label}: ${PEERS[fsType].name}`,
      'MB/s',
      over((r) => bench.fragmentedBytes / MIB / (r.peer.ms / 1000)),
    ),
    row(
      `${label}: verified to ${PEERS[fsType].name}`,
      'ratio',
      over((r) => r.peer.ms / r.verified.ms),
      verified && { atLeast: verified },
    ),
    row(
      `${label}: --no-verify to ${PEERS[fsType].name}`,
      'ratio',
      over((r) => r.peer.ms / r.plain.ms),
      plain && { atLeast: plain },
    ),
    ...limits.flatMap((limit) => limitRows(label, PEERS[fsType].name, limit, rounds)),
    row(
      `${label}: fragments left, ours to ${PEERS[fsType].name}`,
      'ratio',
      rounds.flatMap(({ peer, verified, plain }) =>
        [verified, plain].map((ours) => ours.after.fragmentCount / peer.after.fragmentCount),
      ),
      { below: 1 },
    ),
    row(
      `${label}: files with more fragments than before`,
      'files',
      rounds.flatMap(({ verified, plain }) => [verified.after.worseCount, plain.after.worseCount]),
      { below: 0 },
    ),
    row(
      `${label}: the same of ${PEERS[fsType].name}`,
      'files',
      over((r) => r.peer.after.worseCount),
    ),
    row(
      `${label}: bytes moved for nothing`,
      'ratio',
      rounds.flatMap(({ verified, plain }) => [verified.wasteRatio, plain.wasteRatio]),
      { below: 0.05 },
    ),
  ];
}

/** Each round begins with another, since a disk that was just busy is a little slower. */
function turned(contenders, round) {
  const at = round % contenders.length;
  return [...contenders.slice(at), ...contenders.slice(0, at)];
}

/** @returns the image and what every file in it has. */
function makeImage(directory, fsType, profile) {
  const { count, fileBytes } = PROFILES[profile];
  const image = join(directory, `${fsType}-${profile}.img`);
  const dataBytes = profile === 'many' ? count * 110 * 1024 : count * fileBytes;
  // Beside each large file lies a spacer as large, which leaves holes: without more room there is no
  // place where the file could be contiguous, as on the full image.
  const times = profile === 'large' ? 3.4 : 2.2;
  const sizeBytes = Math.max(600 * MIB, Math.round((dataBytes * times) / MIB) * MIB + 400 * MIB);
  execFileSync('truncate', ['-s', String(sizeBytes), image]);
  const [program, ...args] = PEERS[fsType].mkfs;
  execFileSync(program, [...args, image], { stdio: 'ignore' });
  return withMount(image, fsType, ({ mountPath }) => {
    const data = join(mountPath, 'data');
    const planned = profileFiles(data, profile === 'many' ? 'many' : 'large', count, fileBytes);
    makeFragments(mountPath, fsType, planned, { keepSpacers: profile === 'full' });
    if (profile === 'full') fillBetween(mountPath, fileBytes * SPARE_FILES);
    const files = describe(mountPath);
    const fragmented = [...files.values()].filter((file) => file.fragmentCount > 1);
    const sum = (pick) => fragmented.reduce((total, file) => total + pick(file), 0);
    return {
      image,
      files,
      fragmentCount: [...files.values()].reduce((total, file) => total + file.fragmentCount, 0),
      fragmentedBytes: sum((file) => file.sizeBytes),
    };
  });
}

async function withCopy({ image, files }, fsType, contender) {
  const copy = `${image}.run`;
  execFileSync('cp', ['--sparse=always', image, copy]);
  const result = await withMount(copy, fsType, async (mounted) => {
    spawnSync('sync');
    const prepared = await contender(mounted);
    dropCaches([]);
    const startedAt = performance.now();
    const done = await prepared();
    spawnSync('sync', ['-f', mounted.mountPath]);
    const ms = performance.now() - startedAt;
    await prepared.end?.();
    dropCaches([]);
    return { ms, ...done, after: compare(files, describe(mounted.mountPath)) };
  });
  execFileSync('rm', [copy]);
  return result;
}

function withMount(image, fsType, use) {
  const mountPath = `${image}.mount`;
  mkdirSync(mountPath, { recursive: true });
  const device = execFileSync('losetup', ['-f', '--show', '--direct-io=on', image], {
    encoding: 'utf8',
  }).trim();
  execFileSync('mount', [
    ...(fsType === 'btrfs' ? ['-o', 'nodiscard'] : []),
    '-t',
    fsType,
    device,
    mountPath,
  ]);
  const end = () => {
    process.off('exit', end);
    execFileSync('umount', [mountPath]);
    execFileSync('losetup', ['-d', device]);
  };
  // Before the scratch directory goes, also on Ctrl-C.
  process.prependOnceListener('exit', end);
  let result;
  try {
    result = use({ mountPath, device });
  } catch (error) {
    end();
    throw error;
  }
  if (!(result instanceof Promise)) {
    end();
    return result;
  }
  return result.finally(end);
}

function runPeer(peer, { mountPath, device }) {
  const [program, ...args] = peer(mountPath, device);
  return async () => {
    const { status, stderr } = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 256 * MIB });
    if (status !== 0) throw new Error(`${program}: ${status} ${stderr}`);
  };
}

function describe(mountPath) {
  const files = new Map();
  const paths = filesIn(join(mountPath, 'data'));
  const counts = fragmentCounts(paths);
  for (const [index, path] of paths.entries()) {
    const sha256 = createHash('sha256').update(readFileSync(path)).digest('hex');
    const name = path.slice(mountPath.length);
    files.set(name, { sha256, sizeBytes: statSync(path).size, fragmentCount: counts[index] });
  }
  return files;
}

function fragmentCounts(paths) {
  const counts = [];
  for (let at = 0; at < paths.length; at += 500) {
    const output = execFileSync('filefrag', paths.slice(at, at + 500), { encoding: 'utf8' });
    counts.push(
      ...output
        .trim()
        .split('\n')
        .map((line) => Number(/(\d+) extents? found/.exec(line)?.[1])),
    );
  }
  return counts;
}

function compare(before, after) {
  let fragmentCount = 0;
  let worseCount = 0;
  for (const [name, file] of before) {
    const now = after.get(name);
    if (now?.sha256 !== file.sha256) throw new Error(`${name} changed`);
    fragmentCount += now.fragmentCount;
    if (now.fragmentCount > file.fragmentCount) worseCount += 1;
  }
  return { fragmentCount, worseCount };
}
