/**
 * Files whose fragments are real: pieces of several files are allocated by turns.
 *
 * Allocators undo interleaved appends (delayed allocation, preallocation), but not fallocate(2) of
 * one small piece after the other on ext4 and XFS, nor O_DIRECT appends on Btrfs.
 */

import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  writeSync,
} from 'node:fs';
import { fragmentsOf } from '../../src/domain/move-plan.js';
import { MIB } from '../../src/domain/units.js';
import { alignedBuffer } from '../../src/kernel/aligned-buffer.js';
import { allocate } from '../../src/kernel/allocate.js';
import { handleOf } from '../../src/kernel/file-handle.js';
import { fileMappings } from '../../src/kernel/file-state.js';
import type { LoopMount } from './loop-mounts.js';

const BLOCK_BYTES = 4096;

export interface FragmentedOptions {
  readonly sizeBytes: number;
  /** Bytes allocated at a time; whole blocks. */
  readonly stepBytes?: number;
}

/** Makes files of these names, each in as many pieces as it has steps. Content differs by seed. */
export function makeFragmented(
  mount: LoopMount,
  names: readonly string[],
  { sizeBytes, stepBytes = 2 * BLOCK_BYTES }: FragmentedOptions,
): void {
  const files = names.map((name) => {
    const path = mount.path(name);
    return { path, fd: openSync(path, 'w+') };
  });
  // A lone file has nobody to take turns with.
  const fillerPath = mount.path(`${names[0]}.filler`);
  const filler = { path: fillerPath, fd: openSync(fillerPath, 'w+') };
  const turns = [...files, filler];
  if (mount.fsType === 'btrfs') appendByTurns(turns, sizeBytes, stepBytes);
  else {
    for (let at = 0; at < sizeBytes; at += stepBytes) {
      for (const file of turns) allocate(file, { startBytes: at, lengthBytes: stepBytes });
    }
    for (const [seed, { fd }] of turns.entries()) fill(fd, seed, sizeBytes);
  }
  for (const { fd } of turns) {
    ftruncateSync(fd, sizeBytes);
    fsyncSync(fd);
    closeSync(fd);
  }
}

/** Bytes that tell each block of each file from every other. */
export function contentOf(seed: number, sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  for (let at = 0; at < sizeBytes; at += BLOCK_BYTES) {
    const tag = `${String(seed).padStart(5, '0')}:${String(at).padStart(9, '0')}\n`;
    bytes.fill(tag, at, Math.min(at + BLOCK_BYTES, sizeBytes), 'latin1');
  }
  return bytes;
}

function fill(fd: number, seed: number, sizeBytes: number): void {
  writeSync(fd, contentOf(seed, sizeBytes), 0, sizeBytes, 0);
}

function appendByTurns(
  files: readonly { readonly path: string }[],
  sizeBytes: number,
  stepBytes: number,
): void {
  const flags = constants.O_RDWR | constants.O_DIRECT;
  const direct = files.map(({ path }) => openSync(path, flags));
  const buffer = alignedBuffer(stepBytes);
  const contents = files.map((_, seed) => contentOf(seed, sizeBytes + stepBytes));
  for (let at = 0; at < sizeBytes; at += stepBytes) {
    for (const [seed, fd] of direct.entries()) {
      contents[seed]?.copy(buffer, 0, at, at + stepBytes);
      writeSync(fd, buffer, 0, stepBytes, at);
    }
  }
  for (const fd of direct) closeSync(fd);
}

export function fragmentCount(path: string): number {
  const fd = openSync(path, 'r');
  try {
    const whole = { startBytes: 0, lengthBytes: 1024 * 1024 * MIB };
    return fragmentsOf(fileMappings({ fd, path }, whole)).length;
  } finally {
    closeSync(fd);
  }
}

export function sha256(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

export function handleOfPath(path: string): string {
  const fd = openSync(path, 'r');
  try {
    return handleOf({ fd, path });
  } finally {
    closeSync(fd);
  }
}
