/**
 * Piscina task: list the windows of a mounted file system with what is free in each.
 *
 * The order counts: evidence, flush, windows, counters. What is freed in between then looks as if it
 * was freed after the trim, and is trimmed once more, never missed.
 */

import { createHash } from 'node:crypto';
import { statfsSync } from 'node:fs';
import type { ReadTrimWindowsTask, TrimWindowList } from '../src/domain/trim-tasks.js';
import { type TrimWindow, windowGrid } from '../src/domain/trim-windows.js';
import { type ByteRun, roundUp } from '../src/domain/units.js';
import { btrfsChunks } from '../src/kernel/btrfs-chunks.js';
import { ext4Groups } from '../src/kernel/ext4-groups.js';
import { finishFrees } from '../src/kernel/fitrim.js';
import { freeRuns } from '../src/kernel/free-space.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { syncFileSystem } from '../src/kernel/sync-file-system.js';
import { readFreedTotals, readTrimEvidence } from '../src/kernel/trim-evidence.js';
import { openMount } from './mounted-directory.js';
import { settle } from './settle.js';

export default (task: ReadTrimWindowsTask) => settle(() => readTrimWindows(task));

/** @throws MaintenanceError when the mount is gone or the kernel refuses. */
export function readTrimWindows(task: ReadTrimWindowsTask): TrimWindowList {
  using mount = openMount(task.mountPath, task.mountId);
  const { file } = mount;
  if (task.flush && task.fsType === 'xfs') finishFrees(file);
  const evidence = readTrimEvidence(task);
  // What is freed but not committed is not trimmed.
  if (task.flush) syncFileSystem(file);
  const { windows, outsideBytes } = listWindows(file, task);
  return { evidence, windows, freedAfter: readFreedTotals(task), outsideBytes };
}

function listWindows(
  file: OpenFile,
  task: ReadTrimWindowsTask,
): Pick<TrimWindowList, 'windows' | 'outsideBytes'> {
  if (task.fsType === 'btrfs') return chunkWindows(file, task);
  const whole = { startBytes: 0, lengthBytes: task.sizeBytes };
  const grid = deviceGrid(whole, task);
  if (task.fsType === 'other') return { windows: grid.map(unlisted), outsideBytes: 0 };
  const windows = grid.flatMap((range) => listedWindow(file, range, task.minLengthBytes) ?? []);
  return { windows, outsideBytes: 0 };
}

/** Whole groups for ext4: it does not remember what it was asked for in part. */
function deviceGrid(whole: ByteRun, { fsType, mountPath, windowBytes }: ReadTrimWindowsTask) {
  if (fsType !== 'ext4') return windowGrid([whole], windowBytes);
  const { groupBytes, originBytes } = ext4Groups(statfsSync(mountPath).bsize);
  return windowGrid([whole], roundUp(windowBytes, groupBytes), originBytes);
}

/** @returns null behind the end of the file system, which may be smaller than its device. */
function listedWindow(file: OpenFile, range: ByteRun, minLengthBytes: number): TrimWindow | null {
  const { runs, endBytes } = freeRuns(file, range);
  if (endBytes <= range.startBytes) return null;
  let freeBytes = 0;
  let trimmableBytes = 0;
  let freeRunCount = 0;
  for (let index = 1; index < runs.length; index += 2) {
    const lengthBytes = runs[index] ?? 0;
    freeBytes += lengthBytes;
    if (lengthBytes < minLengthBytes) continue;
    trimmableBytes += lengthBytes;
    freeRunCount += 1;
  }
  return {
    startBytes: range.startBytes,
    lengthBytes: endBytes - range.startBytes,
    fingerprint: createHash('sha256').update(runs).digest('base64'),
    freeBytes,
    trimmableBytes,
    freeRunCount,
    deviceNames: null,
  };
}

/**
 * One window for each chunk, whatever its size: FITRIM passes over a chunk unless it is asked from
 * the chunk's start on. Logical addresses have gaps, and reach far beyond the size of the devices.
 *
 * Source: fs/btrfs/extent-tree.c, btrfs_trim_fs: the first block group that starts at or behind.
 */
function chunkWindows(
  file: OpenFile,
  task: ReadTrimWindowsTask,
): Pick<TrimWindowList, 'windows' | 'outsideBytes'> {
  let outsideBytes = task.sizeBytes;
  const windows = btrfsChunks(file).map((chunk): TrimWindow => {
    const { startBytes, lengthBytes, usedBytes, freeRunCount } = chunk;
    const names = chunk.stripes.map(
      ({ deviceId }) => task.devices.find(({ btrfsId }) => btrfsId === deviceId)?.name ?? null,
    );
    // Close enough for striped ones, which take up more by their parity.
    outsideBytes -= lengthBytes * (chunk.isCopied ? chunk.stripes.length : 1);
    const freeBytes = usedBytes === null ? null : lengthBytes - usedBytes;
    return {
      ...unlisted({ startBytes, lengthBytes }),
      freeBytes,
      trimmableBytes: freeBytes,
      freeRunCount,
      deviceNames: names.includes(null) ? null : (names as string[]),
    };
  });
  return { windows, outsideBytes: Math.max(0, outsideBytes) };
}

function unlisted(range: ByteRun): TrimWindow {
  const unknown = { freeBytes: null, trimmableBytes: null, freeRunCount: null };
  return { ...range, ...unknown, fingerprint: null, deviceNames: null };
}
