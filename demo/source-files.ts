/** Real files of this machine, in a shuffled but repeatable order. */

import { lstatSync, readdirSync, type Stats } from 'node:fs';
import { join } from 'node:path';

export interface SourceFile {
  readonly path: string;
  readonly sizeBytes: number;
}

/** Files of one block cannot be fragmented; the largest would fill the pool alone. */
const SIZE_BYTES_MIN = 48 * 1024;
const SIZE_BYTES_MAX = 24 * 1024 ** 2;
const FILES_MAX = 30_000;

export function collectFiles(roots: readonly string[]): SourceFile[] {
  const files: SourceFile[] = [];
  const open = [...roots];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    for (const entry of readEntries(path)) {
      const child = join(path, entry.name);
      if (entry.isDirectory()) open.push(child);
      else if (entry.isFile()) addFile(files, child);
    }
    if (files.length >= FILES_MAX) break;
  }
  return shuffled(files);
}

function readEntries(path: string) {
  try {
    return readdirSync(path, { withFileTypes: true });
  } catch {
    return [];
  }
}

function addFile(files: SourceFile[], path: string): void {
  let stats: Stats;
  try {
    stats = lstatSync(path);
  } catch {
    return;
  }
  const { size: sizeBytes } = stats;
  if (sizeBytes >= SIZE_BYTES_MIN && sizeBytes <= SIZE_BYTES_MAX) files.push({ path, sizeBytes });
}

/** Park–Miller: the same machine gives the same demo. */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

function shuffled(files: readonly SourceFile[]): SourceFile[] {
  const random = randomNumbers(42);
  return files
    .map((file) => ({ file, order: random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ file }) => file);
}
