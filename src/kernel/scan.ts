/**
 * Counts the files of a mounted file system: by its own tables, or by a walk where those are closed.
 *
 * The work is done in threads of the addon; these functions block until it is done, so worker
 * threads call them.
 */

import type { Addon, FreeSpaceReply, ScanReply, ScanRequest } from '../../native/addon.js';
import { InvariantError } from '../domain/errors.js';
import type {
  CandidateFlag,
  DeviceFreeSpace,
  FreeSpaceReport,
  FreeSpaceTask,
  ScanCandidate,
  ScanDevice,
  ScanMap,
  ScanMethod,
  ScanReport,
  ScanTask,
  SizeClass,
  TierFigures,
} from '../domain/file-scan.js';
import { TIERS } from '../domain/heat.js';
import { kernelAddon } from './addon.js';
import { KernelCallError } from './kernel-error.js';

type ScanAddon = Pick<Addon, 'scanFileSystem' | 'scanFreeSpace'>;

/** By the type of the file system; all others are walked. */
const BULK: Readonly<Record<string, { source: ScanRequest['source']; method: ScanMethod }>> = {
  ext4: { source: 'ext4', method: 'ext4-inode-tables' },
  xfs: { source: 'xfs', method: 'xfs-bulkstat' },
  btrfs: { source: 'btrfs', method: 'btrfs-tree-search' },
};

/** In the order of native/scan.h; those of the tiers follow them. */
const FIGURES = [
  'fileCount',
  'fragmentedCount',
  'fragmentCount',
  'mappingCount',
  'sizeBytes',
  'allocatedBytes',
  'contiguousBytes',
  'sharedCount',
  'sharedBytes',
  'compressedCount',
  'compressedBytes',
  'unwrittenCount',
  'unwrittenBytes',
  'inlineCount',
  'sparseCount',
  'emptyCount',
  'hardLinkedCount',
  'directoryCount',
  'failedCount',
  'vanishedCount',
  'otherMountCount',
  'missedPartCount',
] as const satisfies readonly (keyof ScanReport)[];

const FIGURES_PER_TIER = 4;
const CANDIDATE_COLUMNS = 8;
const DEVICE_COLUMNS = 6;
const SIZE_CLASSES = 64;
const DEVICE_FREE_COLUMNS = 4 + 2 * SIZE_CLASSES;
const FREE_SPACE_SOURCES = ['getfsmap', 'btrfs-free-space-tree', 'btrfs-extent-tree'] as const;

/** All of a report but what only the caller's clock knows. */
export type ScanFindings = Omit<ScanReport, 'durationMs'>;

/**
 * Scans a mount. Call `syncFileSystem` before, else data that waits for its place is not seen.
 *
 * @returns figures of what was seen so far when the stop flag ended it.
 * @throws KernelCallError ERR_TARGET_NOT_FOUND or ERR_PERMISSION when the mount or the subtree
 *   cannot be opened, ERR_UNSUPPORTED when the file system does not tell where its files lie.
 *
 * Source: Documentation/filesystems/ext4, ioctl_xfs_bulkstat(2), btrfs-ioctl(3), fiemap.rst.
 */
export function scanFileSystem(task: ScanTask, addon: ScanAddon = kernelAddon()): ScanFindings {
  const bulk = BULK[task.fsType];
  let fallbackReason: string | null = null;
  if (bulk && task.method === 'auto' && task.subtree === null) {
    const reply = addon.scanFileSystem(requestFor(task, bulk.source));
    if (reply.errno === 0) return findings(task, bulk.method, null, reply);
    const failure = new KernelCallError(reply.failedCall, reply.errno, task.mountPath);
    fallbackReason = failure.message;
  }
  const reply = addon.scanFileSystem(requestFor(task, 'walk'));
  if (reply.errno !== 0) {
    const path = task.subtree === null ? task.mountPath : `${task.mountPath}/${task.subtree}`;
    throw new KernelCallError(reply.failedCall, reply.errno, path);
  }
  return findings(task, 'fiemap-walk', fallbackReason, reply);
}

/**
 * Lists the free space of a mount by size.
 *
 * @throws KernelCallError ERR_UNSUPPORTED where the file system does not tell, ERR_PERMISSION on
 *   Btrfs for everybody but root.
 *
 * Source: ioctl_getfsmap(2), btrfs-ioctl(3).
 */
export function scanFreeSpace(
  task: FreeSpaceTask,
  addon: ScanAddon = kernelAddon(),
): FreeSpaceReport {
  const { mountPath, fsType, mapCellCount } = task;
  const reply = addon.scanFreeSpace({ mountPath, fsType, mapCellCount });
  if (reply.errno !== 0) throw new KernelCallError(reply.failedCall, reply.errno, mountPath);

  const [freeBytes = 0, largestBytes = 0, runCount = 0, unallocatedBytes = 0] = numbers(
    reply.figures,
  );
  const cells = numbers(reply.freeCells);
  return {
    source: FREE_SPACE_SOURCES[reply.source] ?? 'getfsmap',
    freeBytes,
    largestBytes,
    runCount,
    unallocatedBytes,
    runs: sizeHistogram(reply.classCounts, reply.classBytes),
    devices: devicesFree(reply),
    map:
      cells.length === 0
        ? null
        : {
            space: reply.mapIsLogical ? 'logical' : 'device',
            spaceBytes: reply.mapSpaceBytes,
            cellBytes: reply.mapCellBytes,
            freeBytes: cells,
          },
  };
}

function requestFor(task: ScanTask, source: ScanRequest['source']): ScanRequest {
  return {
    source,
    mountPath: task.mountPath,
    fsType: task.fsType,
    subtree: task.subtree ?? '',
    devicePath: task.devicePaths[0] ?? '',
    threadCount: task.threadCount,
    candidateLimit: task.candidateLimit,
    nameCount: task.nameCount,
    mapCellCount: task.mapCellCount,
    targetFragmentBytes: task.targetFragmentBytes,
    nowMs: task.nowMs,
    control: task.control,
  };
}

function findings(
  task: ScanTask,
  method: ScanMethod,
  fallbackReason: string | null,
  reply: ScanReply,
): ScanFindings {
  const figures = numbers(reply.figures);
  if (figures.length !== FIGURES.length + FIGURES_PER_TIER * TIERS.length) {
    throw new InvariantError(`the addon counted ${figures.length} figures`);
  }
  const named = Object.fromEntries(FIGURES.map((name, index) => [name, figures[index] ?? 0]));
  const byTier = TIERS.map((tier, index) => [
    tier,
    tierFigures(figures.slice(FIGURES.length + FIGURES_PER_TIER * index)),
  ]);
  return {
    method,
    fallbackReason,
    slowReason: reply.slowReason === '' ? null : reply.slowReason,
    stopped: reply.stopped,
    sharedKnown: reply.sharedKnown,
    firstErrno: reply.firstErrno === 0 ? null : reply.firstErrno,
    ...(named as Pick<ScanReport, (typeof FIGURES)[number]>),
    tiers: Object.fromEntries(byTier) as ScanReport['tiers'],
    devices: devices(reply),
    fragmentCountHistogram: withoutEmptyEnd(numbers(reply.countClasses), (count) => count === 0),
    fragmentSizeHistogram: sizeHistogram(reply.sizeClassCounts, reply.sizeClassBytes),
    candidates: candidates(task, reply),
    truncated: reply.truncated,
    map: mapOf(reply),
  };
}

function tierFigures(figures: readonly number[]): TierFigures {
  const [fileCount = 0, fragmentedCount = 0, fragmentCount = 0, allocatedBytes = 0] = figures;
  return { fileCount, fragmentedCount, fragmentCount, allocatedBytes };
}

function devices({ devicePaths, deviceFigures }: ScanReply): ScanDevice[] {
  return devicePaths.map((path, index) => {
    const row = numbers(deviceFigures.subarray(index * DEVICE_COLUMNS));
    const [sizeBytes = 0, fileCount = 0, fragmentedCount = 0] = row;
    const [fragmentCount = 0, allocatedBytes = 0, contiguousBytes = 0] = row.slice(3);
    const counts = { fileCount, fragmentedCount, fragmentCount };
    return { path, sizeBytes, ...counts, allocatedBytes, contiguousBytes };
  });
}

function devicesFree({ devicePaths, deviceFigures }: FreeSpaceReply): DeviceFreeSpace[] {
  return devicePaths.map((path, index) => {
    const row = deviceFigures.subarray(index * DEVICE_FREE_COLUMNS);
    const [sizeBytes = 0, freeBytes = 0, largestBytes = 0, runCount = 0] = numbers(row);
    const classes = row.subarray(4);
    const runs = sizeHistogram(
      classes.subarray(0, SIZE_CLASSES),
      classes.subarray(SIZE_CLASSES, 2 * SIZE_CLASSES),
    );
    return { path, sizeBytes, freeBytes, largestBytes, runCount, runs };
  });
}

function candidates(task: ScanTask, reply: ScanReply): ScanCandidate[] {
  const row = (index: number) =>
    reply.candidates.subarray(index * CANDIDATE_COLUMNS, (index + 1) * CANDIDATE_COLUMNS);
  return reply.candidateHandles.map((handle, index) => {
    const [
      size = 0,
      allocated = 0,
      fragments = 0,
      ideal = 0,
      mtime = 0,
      access = 0,
      tier = 0,
      bits = 0,
    ] = row(index);
    const pathHex = reply.candidatePaths[index] ?? '';
    // Without a handle the path is all there is to find the file by.
    const hasPath = pathHex !== '' && (index < task.nameCount || handle === '');
    return {
      handle: handle === '' ? null : handle,
      sizeBytes: size,
      allocatedBytes: allocated,
      fragmentCount: fragments,
      idealFragmentCount: ideal,
      mtimeMs: mtime,
      accessMs: access,
      tier: TIERS[tier] ?? 'cold',
      flags: FLAG_BITS.filter(({ bit }) => (bits & bit) !== 0).map(({ flag }) => flag),
      pathHex: hasPath ? pathHex : null,
    };
  });
}

/** In the order of native/scan.h. */
const FLAG_BITS: readonly { readonly flag: CandidateFlag; readonly bit: number }[] = [
  { flag: 'unwritten', bit: 1 },
  { flag: 'shared', bit: 2 },
  { flag: 'compressed', bit: 4 },
  { flag: 'sparse', bit: 8 },
  { flag: 'hard-linked', bit: 16 },
];

function mapOf(reply: ScanReply): ScanMap | null {
  if (reply.usedCells.length === 0) return null;
  return {
    space: reply.mapIsLogical ? 'logical' : 'device',
    spaceBytes: reply.mapSpaceBytes,
    cellBytes: reply.mapCellBytes,
    fragmentedBytes: numbers(reply.fragmentedCells),
    usedBytes: numbers(reply.usedCells),
  };
}

function sizeHistogram(counts: BigUint64Array, bytes: BigUint64Array): SizeClass[] {
  const classes = numbers(counts).map((count, index) => ({
    count,
    bytes: Number(bytes[index] ?? 0n),
  }));
  return withoutEmptyEnd(classes, ({ count }) => count === 0);
}

function withoutEmptyEnd<T>(values: T[], isEmpty: (value: T) => boolean): T[] {
  const last = values.findLastIndex((value) => !isEmpty(value));
  return values.slice(0, last + 1);
}

function numbers(values: BigUint64Array): number[] {
  return Array.from(values, Number);
}
