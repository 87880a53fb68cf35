/** Mounted file systems with fragmented files, for tests through the command line and agent. */

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { DEFAULT_FS_RUN_OPTIONS } from '../../src/domain/fs-runs.js';
import { KIB } from '../../src/domain/units.js';
import type { FsPoolStore } from '../../src/store/fs-pool-store.js';
import { makeFragmented } from './fragmented-files.js';
import type { LoopMount } from './loop-mounts.js';

const FILE_BYTES = 512 * KIB;

/** `file-00`, `file-01`, … of half a MiB, each in dozens of pieces. */
export function makeFiles(mount: LoopMount, count: number, sizeBytes = FILE_BYTES): string[] {
  const names = Array.from({ length: count }, (_, n) => `file-${String(n).padStart(2, '0')}`);
  makeFragmented(mount, names, { sizeBytes });
  return names;
}

/** A defragmentation at full speed that waits for no file to be quiet. */
export function beginRun(store: FsPoolStore): number {
  const runId = store.runs.insert({
    kind: 'defrag',
    trigger: 'manual',
    intensity: 'high',
    threadCount: 2,
    diskId: null,
    secureErase: false,
    startedAtMs: Date.now(),
    plannedCount: 0,
    plannedBytes: 0,
  });
  store.options.set(runId, { ...DEFAULT_FS_RUN_OPTIONS, quietMs: 0 });
  return runId;
}

/** SHA-256 of every file of a directory tree, by path. */
export function sha256Manifest(directory: string): Record<string, string> {
  const manifest: Record<string, string> = {};
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    manifest[path] = createHash('sha256').update(readFileSync(path)).digest('hex');
  }
  return manifest;
}

/** What a command printed of a mounted file system. */
export function fsNode<T extends object>(output: T): Extract<T, { kind: 'file-system' }> {
  expect(output).toMatchObject({ kind: 'file-system' });
  return output as Extract<T, { kind: 'file-system' }>;
}
