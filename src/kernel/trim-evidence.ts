/** What the kernel counts that changes whenever a mounted file system frees space. */

import { existsSync, readdirSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { FsType } from '../domain/mounts.js';
import type { FreedTotals, TrimEvidence } from '../domain/trim-windows.js';
import { type KernelTrees, LIVE_TREES, readMounts } from './mount-info.js';

export interface EvidenceSource {
  readonly mountPath: string;
  readonly fsType: FsType;
  readonly sysfsName: string | null;
}

/** @returns nulls for what cannot be told; then every window is trimmed again. Never throws. */
export function readTrimEvidence(
  source: EvidenceSource,
  trees: KernelTrees = LIVE_TREES,
): TrimEvidence {
  return {
    instance: instanceOf(source, trees),
    freed: readFreedTotals(source, trees),
    generation: generationOf(source, trees),
  };
}

/**
 * What XFS has freed since it was mounted, in all its allocation groups.
 *
 * Source: Documentation/admin-guide/xfs.rst and fs/xfs/xfs_stats.c: `extent_alloc` has extents and
 * blocks allocated, then extents and blocks freed; each free of a block adds to the last two.
 */
export function readFreedTotals(
  { mountPath, fsType, sysfsName }: EvidenceSource,
  trees: KernelTrees = LIVE_TREES,
): FreedTotals | null {
  if (fsType !== 'xfs' || sysfsName === null) return null;
  const directory = join(trees.sysPath, 'fs/xfs', sysfsName);
  // Space of a realtime device is freed without being counted there.
  if (existsSync(join(directory, 'zoned')) || hasRealtimeDevice(mountPath, trees)) return null;
  const text = readOrNull(join(directory, 'stats/stats'));
  const fields = /^extent_alloc \d+ \d+ (\d+) (\d+)$/m.exec(text ?? '');
  if (!fields) return null;
  return {
    extentCount: Number(fields[1]),
    blockCount: Number(fields[2]),
    blockBytes: statfsSync(mountPath).bsize,
  };
}

function hasRealtimeDevice(mountPath: string, trees: KernelTrees): boolean {
  return readMounts(trees).some(
    (mount) =>
      mount.mountPath === mountPath && mount.superOptions.some((o) => o.startsWith('rtdev=')),
  );
}

/**
 * Names this boot and this mount of the file system.
 *
 * The kernel makes the directory anew at each mount, and an inode number of sysfs is not used again
 * before the machine restarts. Source: fs/kernfs/dir.c, __kernfs_new_node.
 */
function instanceOf({ fsType, sysfsName }: EvidenceSource, trees: KernelTrees): string | null {
  if (fsType === 'other' || sysfsName === null) return null;
  const bootId = readOrNull(join(trees.procPath, 'sys/kernel/random/boot_id'));
  if (bootId === null) return null;
  try {
    const { ino } = statSync(join(trees.sysPath, 'fs', fsType, sysfsName), { bigint: true });
    return `${bootId.trim()}/${ino}`;
  } catch {
    return null;
  }
}

/**
 * The transaction of a Btrfs, which the kernel numbers when it starts, and the write errors: data
 * that could not be written is given back without a transaction.
 */
function generationOf({ fsType, sysfsName }: EvidenceSource, trees: KernelTrees): string | null {
  if (fsType !== 'btrfs' || sysfsName === null) return null;
  const directory = join(trees.sysPath, 'fs/btrfs', sysfsName);
  const generation = readOrNull(join(directory, 'generation'));
  if (generation === null) return null;
  const errors = namesIn(join(directory, 'devinfo')).map(
    (id) =>
      `${id}:${/write_errs (\d+)/.exec(readOrNull(join(directory, 'devinfo', id, 'error_stats')) ?? '')?.[1]}`,
  );
  return [generation.trim(), ...errors].join(' ');
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch {
    return [];
  }
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return null;
  }
}
