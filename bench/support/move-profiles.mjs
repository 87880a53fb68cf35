/** The files that the benchmark of moves has to put together: the same in every run. */

import { execFileSync } from 'node:child_process';
import { statfsSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { KIB, MIB, seededRandom } from './figures.mjs';
import { filesIn } from './page-cache.mjs';

const BLOCK_BYTES = 4096;
const DIRECTORY_COUNT = 100;
const SEED = 20_240_601;
const FRAGMENTED_SHARE = 0.3;
/** Cumulative share of files of up to so many KiB. */
const SIZES_KIB = [
  { share: 0.5, from: 8, to: 32 },
  { share: 0.8, from: 32, to: 128 },
  { share: 0.95, from: 128, to: 256 },
  { share: 1, from: 256, to: 1024 },
];

/**
 * @param {'many' | 'large'} profile `many`: small and middling files, 30 % in 2 to 16 pieces;
 *   `large`: files of `fileBytes` in pieces of 16 to 48 blocks.
 * @returns what makeFragments takes.
 */
export function profileFiles(directory, profile, count, fileBytes) {
  const random = seededRandom(SEED);
  const between = (from, to) => from + Math.floor(random() * (to - from + 1));
  return Array.from({ length: count }, (_, number) => {
    const folder = `d${String(number % DIRECTORY_COUNT).padStart(2, '0')}`;
    const path = join(directory, folder, `f${String(number).padStart(5, '0')}`);
    const sizeBytes = profile === 'large' ? fileBytes : sizeOf(random(), between);
    const blocks = Math.ceil(sizeBytes / BLOCK_BYTES);
    const pieces =
      profile === 'large' ? longPieces(blocks, between) : fewPieces(blocks, random, between);
    return { path, sizeBytes, pieces };
  });
}

function sizeOf(share, between) {
  const { from, to } = SIZES_KIB.find((one) => share < one.share) ?? SIZES_KIB[0];
  return between(from * KIB, to * KIB);
}

function longPieces(blocks, between) {
  const pieces = [];
  for (let left = blocks; left > 0; left -= pieces.at(-1)) {
    pieces.push(Math.min(left, between(16, 48)));
  }
  return pieces;
}

function fewPieces(blocks, random, between) {
  if (random() >= FRAGMENTED_SHARE) return [blocks];
  const edges = new Set();
  const pieceCount = Math.min(between(2, 16), blocks);
  while (edges.size < pieceCount - 1) edges.add(between(1, blocks - 1));
  const ends = [...edges].sort((a, b) => a - b).concat(blocks);
  return ends.map((end, index) => end - (ends[index - 1] ?? 0));
}

/**
 * Takes all room but the holes beside the files and `spareBytes`, in a file that nobody moves: it is
 * as large as can be allocated at once, and was never written.
 */
export function fillBetween(mountPath, spareBytes) {
  const { bavail, bsize } = statfsSync(mountPath);
  const fillMib = Math.floor((bavail * bsize - spareBytes) / MIB);
  const filler = join(mountPath, 'filler');
  execFileSync('fallocate', ['-l', `${fillMib}MiB`, filler]);
  execFileSync('setfattr', ['-n', 'user.dynamicfs.nodefrag', '-v', '1', filler]);
  for (const path of filesIn(join(mountPath, 'data'))) {
    if (path.endsWith('.spacer')) unlinkSync(path);
  }
  execFileSync('sync', ['-f', mountPath]);
}
