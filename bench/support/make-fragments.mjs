/**
 * Really fragmented files on a mounted ext4, XFS or Btrfs.
 *
 * The allocators of ext4 and XFS undo interleaved appends. So a filler takes all free space, holes of
 * chosen sizes are punched into it, O_DIRECT writes, which wait for nobody, land in these holes, and
 * the filler is removed. On Btrfs, where punched preallocated space is not free, interleaved O_DIRECT
 * appends of several files do it.
 */

import { spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  fsyncSync,
  ftruncateSync,
  openSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const BLOCK_BYTES = 4096;
const STEP_BYTES_MAX = 256 << 20;
/** Blocks between holes, so that no two of them join. */
const GAP_BLOCKS = 2;
const INTERLEAVED_COUNT = 8;
/** Single blocks given back for each block of the reserve. */
const RETURNED_RATIO = 1.3;
/** They lie at the end of each stretch, so that every allocation group of XFS has its share. */
const STRETCH_BLOCKS = 8_192;

const addon = createRequire(import.meta.url)('../../native/build/dynamicfs.node');

/**
 * Writes files in about as many fragments as asked for; all else that is free stays as it was.
 *
 * @param {string} mountPath
 * @param {'ext4' | 'xfs' | 'btrfs'} fsType
 * @param {readonly { path: string, sizeBytes: number, fragmentCount: number }[]} files sizes are
 *   rounded up to blocks.
 */
export function makeFragments(mountPath, fsType, files) {
  // Their inodes first: XFS wants room for them that is aligned.
  for (const { path } of files) closeSync(openSync(path, 'w'));
  spawnSync('sync', ['-f', mountPath]);
  if (fsType === 'btrfs') interleave(files);
  else writeIntoHoles(mountPath, fsType, files);
  spawnSync('sync', ['-f', mountPath]);
}

function interleave(files) {
  for (let at = 0; at < files.length; at += INTERLEAVED_COUNT) {
    const group = files.slice(at, at + INTERLEAVED_COUNT).map((file) => {
      const blocks = Math.ceil(file.sizeBytes / BLOCK_BYTES);
      const piece = Math.max(1, Math.ceil(blocks / file.fragmentCount));
      return { fd: openDirect(file.path), blocks, piece, written: 0 };
    });
    // Alone, a file would go on where it ended.
    const spacer = openDirect(`${files[at].path}.spacer`);
    for (let round = 0; group.some((file) => file.written < file.blocks); round += 1) {
      for (const file of group) {
        const count = Math.min(file.piece, file.blocks - file.written);
        if (count > 0) writeBlocks(file.fd, file.written, count);
        file.written += count;
      }
      writeBlocks(spacer, round, 1);
    }
    for (const { fd } of group) closeSync(fd);
    closeSync(spacer);
    unlinkSync(`${files[at].path}.spacer`);
  }
}

function writeIntoHoles(mountPath, fsType, files) {
  const filler = new Filler(mountPath, fsType);
  try {
    const byPiece = new Map();
    for (const file of files) {
      const piece = pieceBlocks(file);
      byPiece.set(piece, [...(byPiece.get(piece) ?? []), file]);
    }
    for (const [piece, group] of byPiece) {
      let needBlocks = 8;
      for (const file of group) needBlocks += Math.ceil(file.sizeBytes / BLOCK_BYTES);
      filler.punch(piece, Math.ceil((needBlocks * 1.03) / piece) + 1);
      for (const file of group) {
        const fd = openDirect(file.path);
        writeBlocks(fd, 0, Math.ceil(file.sizeBytes / BLOCK_BYTES), () => filler.punch(piece, 50));
        closeSync(fd);
      }
    }
  } finally {
    filler.remove();
  }
}

function pieceBlocks({ sizeBytes, fragmentCount }) {
  return Math.max(1, Math.ceil(sizeBytes / BLOCK_BYTES / fragmentCount));
}

class Filler {
  #mountPath;
  #paths;
  #fd;
  #limitBlocks;
  /** Of a stretch, what holes may be punched into. */
  #usableBlocks;
  #nextBlock = 0;

  /**
   * ext4 and, per allocation group, XFS keep a reserve that is a number, not a place: large pieces,
   * when the filler is full. As many single blocks are given back, all over, for a second filler,
   * which takes those pieces.
   */
  constructor(mountPath, fsType) {
    this.#mountPath = mountPath;
    this.#paths = [join(mountPath, '.filler-1'), join(mountPath, '.filler-2')];
    const fillerBlocks = fill(this.#paths[0]) / BLOCK_BYTES;
    const { figures } = addon.scanFreeSpace({ mountPath, fsType, mapCellCount: 0 });
    const share = (Number(figures[0]) / BLOCK_BYTES / fillerBlocks) * RETURNED_RATIO;
    this.#limitBlocks = fillerBlocks;
    this.#usableBlocks = STRETCH_BLOCKS - Math.ceil(2 * share * STRETCH_BLOCKS);
    this.#fd = openSync(this.#paths[0], 'r+');
    for (let block = 0; block < fillerBlocks; block += 2) {
      if (block % STRETCH_BLOCKS >= this.#usableBlocks) this.#punchBlocks(block, 1);
    }
    spawnSync('sync', ['-f', mountPath]);
    fill(this.#paths[1]);
  }

  punch(lengthBlocks, count) {
    for (let done = 0; done < count; done += 1) {
      if ((this.#nextBlock % STRETCH_BLOCKS) + lengthBlocks >= this.#usableBlocks) {
        this.#nextBlock = Math.ceil((this.#nextBlock + 1) / STRETCH_BLOCKS) * STRETCH_BLOCKS;
      }
      if (this.#nextBlock + lengthBlocks >= this.#limitBlocks) {
        throw new Error(`${this.#mountPath} is too small for so many fragments`);
      }
      this.#punchBlocks(this.#nextBlock, lengthBlocks);
      this.#nextBlock += lengthBlocks + GAP_BLOCKS;
    }
    // ext4 hands out freed blocks again only after the journal's commit.
    spawnSync('sync', ['-f', this.#mountPath]);
  }

  remove() {
    closeSync(this.#fd);
    for (const path of this.#paths) unlinkSync(path);
    spawnSync('sync', ['-f', this.#mountPath]);
  }

  #punchBlocks(start, length) {
    const errno = addon.punchHole(
      this.#fd,
      BigInt(start * BLOCK_BYTES),
      BigInt(length * BLOCK_BYTES),
    );
    if (errno !== 0) throw new Error(`cannot punch a hole into the filler: errno ${errno}`);
  }
}

/** @returns bytes of the file, which takes all that is free. */
function fill(path) {
  closeSync(openSync(path, 'w'));
  let sizeBytes = 0;
  for (let stepBytes = STEP_BYTES_MAX; stepBytes >= BLOCK_BYTES; ) {
    const args = ['--offset', String(sizeBytes), '--length', String(stepBytes), path];
    if (spawnSync('fallocate', args).status === 0) sizeBytes += stepBytes;
    else stepBytes /= 2;
  }
  // A step that failed may have left some of itself behind the end.
  const fd = openSync(path, 'r+');
  ftruncateSync(fd, sizeBytes);
  fsyncSync(fd);
  closeSync(fd);
  return sizeBytes;
}

function openDirect(path) {
  return openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_DIRECT);
}

const BUFFER_BYTES = 1 << 20;
let buffer = null;

/** @param onFull makes room; without it ENOSPC is an error. */
function writeBlocks(fd, startBlock, countBlocks, onFull = null) {
  buffer ??= new Uint8Array(addon.allocateAligned(BUFFER_BYTES)).fill(0xa5);
  let at = startBlock * BLOCK_BYTES;
  const end = at + countBlocks * BLOCK_BYTES;
  while (at < end) {
    try {
      at += writeSync(fd, buffer, 0, Math.min(BUFFER_BYTES, end - at), at);
    } catch (error) {
      if (error.code !== 'ENOSPC' || onFull === null) throw error;
      onFull();
    }
  }
}
