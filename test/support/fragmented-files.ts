/** Fragmented files by their names in a mount, and what tests ask about files. */

import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { makeFragments } from '../../bench/support/make-fragments.mjs';
import { fragmentsOf } from '../../src/domain/move-plan.js';
import { MIB } from '../../src/domain/units.js';
import { handleOf } from '../../src/kernel/file-handle.js';
import { fileMappings } from '../../src/kernel/file-state.js';
import type { LoopMount } from './loop-mounts.js';

const BLOCK_BYTES = 4096;

export interface FragmentedOptions {
  readonly sizeBytes: number;
  /** Bytes allocated at a time; whole blocks. */
  readonly stepBytes?: number;
}

/** Makes files of these names, each in as many pieces as it has steps. Contents differ. */
export function makeFragmented(
  mount: LoopMount,
  names: readonly string[],
  { sizeBytes, stepBytes = 2 * BLOCK_BYTES }: FragmentedOptions,
): void {
  const fragmentCount = Math.ceil(sizeBytes / stepBytes);
  const files = names.map((name) => ({ path: mount.path(name), sizeBytes, fragmentCount }));
  makeFragments(mount.mountPath, mount.fsType, files, { keepSpacers: true });
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
