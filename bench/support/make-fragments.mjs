/**
 * Really fragmented files on a mounted ext4, XFS or Btrfs: the one maker for tests, benchmarks, demo.
 *
 * Pieces of files in one directory are allocated by turns. The allocators undo interleaved appends
 * (delayed allocation, preallocation), but not fallocate(2) of one piece after the other on ext4 and
 * XFS, nor O_DIRECT writes on Btrfs, whose copy-on-write allocates in the order of writing. Files of
 * other directories cannot take turns: ext4 and XFS put those elsewhere. A spacer takes its turn,
 * too, since a file without company would go on where it ended. Spacers go when all is written:
 * sooner, and the next one would fill their holes.
 */

import { spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  ftruncateSync,
  mkdirSync,
  openSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';

const BLOCK_BYTES = 4096;
const TURN_FILES = 8;
const BUFFER_BYTES = 1 << 20;
const OPEN_FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_DIRECT;

const addon = createRequire(import.meta.url)('../../native/build/dynamicfs.node');

/**
 * Writes files in as many fragments as asked for, and to the disk. Each block of each file has a
 * content of its own, the same in every run.
 *
 * @param {string} mountPath
 * @param {'ext4' | 'xfs' | 'btrfs'} fsType
 * @param {readonly import('./make-fragments.d.mts').FragmentedFile[]} files
 * @param options `keepSpacers`: for more calls on the same mount, which would fill the holes.
 */
export function makeFragments(mountPath, fsType, files, { keepSpacers = false } = {}) {
  const byDirectory = new Map();
  for (const [seed, file] of files.entries()) {
    const directory = dirname(file.path);
    if (!byDirectory.has(directory)) byDirectory.set(directory, []);
    byDirectory.get(directory).push({ ...file, seed });
  }
  const spacers = [];
  for (const [directory, inIt] of byDirectory) {
    mkdirSync(directory, { recursive: true });
    const path = `${inIt[0].path}.spacer`;
    const spacer = new PiecedFile({ path, sizeBytes: 0, pieces: [], seed: 0 }, fsType);
    for (let at = 0; at < inIt.length; at += TURN_FILES) {
      makeByTurns(fsType, inIt.slice(at, at + TURN_FILES), spacer);
    }
    spacer.finish();
    spacers.push(path);
  }
  if (!keepSpacers) for (const path of spacers) unlinkSync(path);
  spawnSync('sync', ['-f', mountPath]);
}

function makeByTurns(fsType, group, spacer) {
  const files = group.map((file) => new PiecedFile(file, fsType));
  for (let waiting = files.filter((file) => file.hasPieces); waiting.length > 0; ) {
    const taken = waiting.map((file) => file.takeTurn());
    waiting = waiting.filter((file) => file.hasPieces);
    if (waiting.length > 0) spacer.allocate(Math.min(...taken));
  }
  for (const file of files) file.finish();
}

class PiecedFile {
  #fd;
  #file;
  #fsType;
  #pieces;
  #nextPiece = 0;
  #allocatedBlocks = 0;

  constructor(file, fsType) {
    this.#fd = openSync(file.path, OPEN_FLAGS);
    this.#file = file;
    this.#fsType = fsType;
    this.#pieces = file.pieces ?? evenPieces(file);
  }

  get hasPieces() {
    return this.#nextPiece < this.#pieces.length;
  }

  /** @returns blocks of the piece; there is one. */
  takeTurn() {
    const blocks = this.#pieces[this.#nextPiece];
    this.allocate(blocks);
    this.#nextPiece += 1;
    return blocks;
  }

  allocate(blocks) {
    if (this.#fsType === 'btrfs') {
      this.#write(this.#allocatedBlocks, blocks);
    } else {
      const range = [this.#allocatedBlocks * BLOCK_BYTES, blocks * BLOCK_BYTES].map(BigInt);
      const errno = addon.allocate(this.#fd, ...range);
      if (errno !== 0) throw new Error(`cannot allocate space for ${this.#file.path}: ${errno}`);
    }
    this.#allocatedBlocks += blocks;
  }

  finish() {
    const { sizeBytes } = this.#file;
    if (this.#fsType !== 'btrfs') this.#write(0, Math.ceil(sizeBytes / BLOCK_BYTES));
    if (sizeBytes % BLOCK_BYTES !== 0) ftruncateSync(this.#fd, sizeBytes);
    closeSync(this.#fd);
  }

  #write(startBlock, countBlocks) {
    let at = startBlock * BLOCK_BYTES;
    const end = at + countBlocks * BLOCK_BYTES;
    while (at < end) {
      const lengthBytes = Math.min(BUFFER_BYTES, end - at);
      at += writeSync(this.#fd, content(this.#file.seed, at, lengthBytes), 0, lengthBytes, at);
    }
  }
}

/** Blocks of each piece. */
function evenPieces({ sizeBytes, fragmentCount }) {
  const blocks = Math.ceil(sizeBytes / BLOCK_BYTES);
  const piece = Math.max(1, Math.ceil(blocks / fragmentCount));
  const pieces = [];
  for (let at = 0; at < blocks; at += piece) pieces.push(Math.min(piece, blocks - at));
  return pieces;
}

let buffer = null;

/** In a buffer that O_DIRECT takes; the next call overwrites it. */
function content(seed, startBytes, lengthBytes) {
  buffer ??= Buffer.from(addon.allocateAligned(BUFFER_BYTES));
  for (let at = 0; at < lengthBytes; at += BLOCK_BYTES) {
    const block = (startBytes + at) / BLOCK_BYTES;
    const tag = `${String(seed).padStart(15, '0')}:${String(block).padStart(15, '0')}\n`;
    buffer.fill(tag, at, at + BLOCK_BYTES, 'latin1');
  }
  return buffer;
}
