/** Scans for tests: with and without the file system's tables, and files of every kind. */

import { execFileSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { makeScanControl, type ScanReport, type ScanTask } from '../../src/domain/file-scan.js';
import { TARGET_FRAGMENT_BYTES } from '../../src/domain/fragmentation.js';
import { scanMount } from '../../workers/scan-file-system.js';
import type { LoopMount } from './loop-mounts.js';

export const BLOCK_BYTES = 4096;
const GIB = 1024 ** 3;

export function scanTask(mount: LoopMount, changes: Partial<ScanTask> = {}): ScanTask {
  return {
    mountPath: mount.mountPath,
    subtree: null,
    method: 'auto',
    fsType: mount.fsType,
    devicePaths: mount.devicePaths,
    threadCount: 2,
    candidateLimit: 1000,
    nameCount: 1000,
    mapCellCount: 32,
    targetFragmentBytes: TARGET_FRAGMENT_BYTES,
    nowMs: Date.now(),
    control: makeScanControl(),
    ...changes,
  };
}

/** Both ways of scanning, of a mount at rest. */
export function scanBoth(
  mount: LoopMount,
  changes: Partial<ScanTask> = {},
): [ScanReport, ScanReport] {
  const nowMs = Date.now();
  const bulk = scanMount(scanTask(mount, { nowMs, ...changes }));
  return [bulk, scanMount(scanTask(mount, { nowMs, ...changes, method: 'walk' }))];
}

/**
 * What both must agree on: everything but how and how fast it was found.
 *
 * XFS in bulk opens no file that is contiguous for sure, and so cannot draw it.
 */
export function comparable(report: ScanReport): object {
  const { method: _, durationMs: __, fallbackReason: ___, slowReason: ____, ...rest } = report;
  const { candidates, map, ...figures } = rest;
  return {
    ...figures,
    fragmentedBytes: map?.fragmentedBytes,
    candidates: [...candidates].sort((a, b) => ((a.handle ?? '') < (b.handle ?? '') ? -1 : 1)),
  };
}

/** Writes blocks of a file at these places, in whatever order; the rest are holes. */
export function writeBlocksAt(path: string, blocks: readonly number[], sizeBytes = 0): void {
  const fd = openSync(path, 'w');
  const content = Buffer.alloc(BLOCK_BYTES, 0x5a);
  for (const block of blocks) writeSync(fd, content, 0, BLOCK_BYTES, block * BLOCK_BYTES);
  if (sizeBytes > 0) ftruncateSync(fd, sizeBytes);
  closeSync(fd);
}

export function writeBytes(path: string | Buffer, sizeBytes: number): void {
  const fd = openSync(path, 'w');
  writeSync(fd, Buffer.alloc(sizeBytes, 0x5a));
  closeSync(fd);
}

/** Names that are no text, links of both kinds, holes, preallocation, a queue; 11 files. */
export function makeOddFiles(mount: LoopMount): void {
  mkdirSync(mount.path('a', 'b', 'c'), { recursive: true });
  writeBytes(mount.path('plain'), 10 * BLOCK_BYTES);
  writeBytes(mount.path('a', 'b', 'c', 'deep'), 5000);
  writeBytes(mount.path('empty'), 0);
  writeBytes(mount.path('a', 'tiny'), 20);
  writeBytes(mount.path('with\nnewline'), BLOCK_BYTES);
  writeBytes(
    Buffer.concat([Buffer.from(`${mount.mountPath}/not-`), Buffer.from([0xff, 0xfe])]),
    BLOCK_BYTES,
  );
  writeBytes(mount.path('linked'), 3 * BLOCK_BYTES);
  linkSync(mount.path('linked'), mount.path('a', 'second-name'));
  linkSync(mount.path('linked'), mount.path('a', 'b', 'third-name'));
  symlinkSync('/etc', mount.path('link-out'));
  symlinkSync('plain', mount.path('a', 'link'));
  execFileSync('mkfifo', [mount.path('queue')]);
  writeBlocksAt(mount.path('holes'), [1, 2, 9], 40 * BLOCK_BYTES);
  writeBlocksAt(mount.path('hundred-gigabytes'), [0, 12_345_678], 100 * GIB);
  execFileSync('fallocate', ['-l', '1M', mount.path('unwritten')]);
  writeBytes(mount.path('reserved'), BLOCK_BYTES);
  execFileSync('fallocate', [
    '-n',
    '-o',
    String(8 * BLOCK_BYTES),
    '-l',
    '64K',
    mount.path('reserved'),
  ]);
}
