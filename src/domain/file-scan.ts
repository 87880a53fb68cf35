/**
 * What the analysis of a mounted file system asks for and finds. Plain data and its arithmetic.
 *
 * mapping   a piece of a file that lies in one place: records that touch, with the same flags, joined
 * fragment  a row of mappings, each where the one before ends, in the file and on the disk
 * ideal     one fragment per range of the file between holes: a hole alone fragments nothing
 * bulk      reading the file system's own tables; the walk opens every file instead. Both find the
 *           same figures, but for files below another mount, which only the tables show.
 */

import { type FreeRunClass, ratio } from './fragmentation.js';
import type { Tier } from './heat.js';

export const BULK_METHODS = ['ext4-inode-tables', 'xfs-bulkstat', 'btrfs-tree-search'] as const;
export type ScanMethod = (typeof BULK_METHODS)[number] | 'fiemap-walk';

/** A file as open_by_handle_at(2) takes it, in hex: one byte of type, then the handle. */
export type FileHandle = string;

export interface ScanTask {
  /** The mount point, or any directory of it that a walk begins in. */
  readonly mountPath: string;
  /** Relative to `mountPath`: only what lies there, by a walk. A file is scanned alone. */
  readonly subtree: string | null;
  /** `auto` takes the tables where it may and can, else the walk and says why. */
  readonly method: 'auto' | 'walk';
  /** As mountinfo names it: `ext4`, `xfs`, `btrfs`; any other is walked. */
  readonly fsType: string;
  /** The block devices of the mount. ext4's tables are read from the only one. */
  readonly devicePaths: readonly string[];
  readonly threadCount: number;
  /** Candidates beyond this many are counted and forgotten, the least gain first. */
  readonly candidateLimit: number;
  /** Of how many candidates to look up the path, the worst first. */
  readonly nameCount: number;
  /** Cells of the map; 0 for none. */
  readonly mapCellCount: number;
  /** A file with fragments of this size or more is not fragmented: TARGET_FRAGMENT_BYTES. */
  readonly targetFragmentBytes: number;
  readonly nowMs: number;
  /** Shared with the thread that waits: see SCAN_CONTROL; null for neither stop nor progress. */
  readonly control: Int32Array<SharedArrayBuffer> | null;
}

/**
 * Indexes of `ScanTask.control`. Files so far are `high * 2^32 + low`, both unsigned; `duty` is that
 * of governor.ts.
 */
export const SCAN_CONTROL = { stop: 0, filesLow: 1, filesHigh: 2, duty: 3, length: 4 } as const;

export function makeScanControl(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(SCAN_CONTROL.length * Int32Array.BYTES_PER_ELEMENT));
}

/** @returns how many files were seen so far. */
export function scanProgress(control: Int32Array<SharedArrayBuffer>): number {
  const low = Atomics.load(control, SCAN_CONTROL.filesLow) >>> 0;
  const high = Atomics.load(control, SCAN_CONTROL.filesHigh) >>> 0;
  return high * 2 ** 32 + low;
}

export interface TierFigures {
  readonly fileCount: number;
  readonly fragmentedCount: number;
  readonly fragmentCount: number;
  readonly allocatedBytes: number;
}

/** A device of several: files count on each one that holds data of theirs, as do their fragments. */
export interface ScanDevice extends TierFigures {
  /** Empty for a device that is missing. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Of `allocatedBytes`, those in files that have no more fragments than their ideal. */
  readonly contiguousBytes: number;
}

/** What a log2 class holds: class 0 is 1, class 1 is 2, class 2 is 3–4, class 3 is 5–8, … */
export type CountHistogram = readonly number[];

/** Index i: fragments or runs of 2^i to 2^(i+1) - 1 bytes. */
export type SizeHistogram = readonly SizeClass[];
export interface SizeClass {
  readonly count: number;
  readonly bytes: number;
}

const CANDIDATE_FLAGS = ['shared', 'compressed', 'unwritten', 'sparse', 'hard-linked'] as const;
export type CandidateFlag = (typeof CANDIDATE_FLAGS)[number];

/** A fragmented file. */
export interface ScanCandidate {
  /** Null where the file system hands out none: then there is a path. */
  readonly handle: FileHandle | null;
  readonly sizeBytes: number;
  readonly allocatedBytes: number;
  readonly fragmentCount: number;
  readonly idealFragmentCount: number;
  readonly mtimeMs: number;
  /** The later of the last read and the last write that the file system recorded. */
  readonly accessMs: number;
  readonly tier: Tier;
  readonly flags: readonly CandidateFlag[];
  /**
   * For people, and for walks without handles: below the mount point, in hex of its bytes, since a
   * name need be no text. Null for all but the first `nameCount`, and when none was found.
   */
  readonly pathHex: string | null;
}

export interface ScanReport {
  readonly method: ScanMethod;
  /** Why the tables were not read although there are some; null when they were, or nobody asked. */
  readonly fallbackReason: string | null;
  /** Why each file was opened although the tables were read; null when that was not so. */
  readonly slowReason: string | null;
  /** True when the stop flag ended it: the figures are those of what was seen. */
  readonly stopped: boolean;
  readonly durationMs: number;

  /** Regular files that have a name; one with several names counts once. */
  readonly fileCount: number;
  readonly fragmentedCount: number;
  readonly fragmentCount: number;
  readonly mappingCount: number;
  readonly sizeBytes: number;
  /** Bytes of files that have a place on the disk; compressed ones as long as before compression. */
  readonly allocatedBytes: number;
  /** Allocated bytes of files that have no more fragments than their ideal. */
  readonly contiguousBytes: number;
  readonly sharedCount: number;
  readonly sharedBytes: number;
  /** False where looking for shared extents would take too much memory: then both are 0. */
  readonly sharedKnown: boolean;
  readonly compressedCount: number;
  readonly compressedBytes: number;
  readonly unwrittenCount: number;
  readonly unwrittenBytes: number;
  readonly inlineCount: number;
  readonly sparseCount: number;
  readonly emptyCount: number;
  readonly hardLinkedCount: number;
  readonly directoryCount: number;
  /** Files and directories that could not be looked at. */
  readonly failedCount: number;
  /** Errno of the first of them, of a disk rather than of rights; null when there is none. */
  readonly firstErrno: number | null;
  /** Gone between being listed and being looked at. */
  readonly vanishedCount: number;
  /** Mounts met on the walk and not entered; 0 in bulk, which never meets one. */
  readonly otherMountCount: number;
  /**
   * Directories and pieces of tables among `failedCount`, of which nobody knows how many files they
   * hold: without them no figure is that of the whole.
   */
  readonly missedPartCount: number;

  readonly tiers: Readonly<Record<Tier, TierFigures>>;
  /** Of a Btrfs of several devices, for whoever may read its chunks; else empty. */
  readonly devices: readonly ScanDevice[];
  readonly fragmentCountHistogram: CountHistogram;
  readonly fragmentSizeHistogram: SizeHistogram;
  /** The most gain first: fragments above the ideal. */
  readonly candidates: readonly ScanCandidate[];
  /** True when there are more fragmented files than `candidateLimit`. */
  readonly truncated: boolean;
  readonly map: ScanMap | null;
}

/** Where the fragments of fragmented files lie. */
export interface ScanMap {
  /** What the cells divide: the device; on Btrfs with striped or several devices its own addresses. */
  readonly space: 'device' | 'logical';
  readonly spaceBytes: number;
  readonly cellBytes: number;
  /** Per cell, bytes of fragmented files. */
  readonly fragmentedBytes: readonly number[];
  /** Per cell, bytes of all files whose place was looked at; in bulk on XFS, only of some. */
  readonly usedBytes: readonly number[];
}

// ---- free space

export interface FreeSpaceTask {
  readonly mountPath: string;
  readonly fsType: string;
  /** For the space that the cells divide; unused on Btrfs, which knows by itself. */
  readonly devicePaths: readonly string[];
  readonly mapCellCount: number;
}

export interface FreeSpaceReport {
  readonly source: 'getfsmap' | 'btrfs-free-space-tree' | 'btrfs-extent-tree';
  readonly freeBytes: number;
  readonly largestBytes: number;
  readonly runCount: number;
  /** Btrfs: bytes that belong to no chunk yet, in `freeBytes` and the runs too; else 0. */
  readonly unallocatedBytes: number;
  readonly runs: SizeHistogram;
  /** As `ScanReport.devices`. */
  readonly devices: readonly DeviceFreeSpace[];
  readonly map: FreeSpaceMap | null;
}

/** Where copies or stripes are on several devices, each has its part of a run. */
export interface DeviceFreeSpace {
  readonly path: string;
  readonly sizeBytes: number;
  readonly freeBytes: number;
  readonly largestBytes: number;
  readonly runCount: number;
  readonly runs: SizeHistogram;
}

export interface FreeSpaceMap {
  readonly space: 'device' | 'logical';
  readonly spaceBytes: number;
  readonly cellBytes: number;
  readonly freeBytes: readonly number[];
}

// ---- arithmetic

/** @returns 0–1: fragmented files of all files. */
export function fragmentationRatio(
  figures: Pick<ScanReport, 'fragmentedCount' | 'fileCount'>,
): number {
  return ratio(figures.fragmentedCount, figures.fileCount);
}

/** @returns 0–1: bytes in files that are as contiguous as they can be. */
export function sequentialRatio(
  report: Pick<ScanReport, 'contiguousBytes' | 'allocatedBytes'>,
): number {
  return ratio(report.contiguousBytes, report.allocatedBytes);
}

/** @returns the fragments that a perfect defragmentation would do away with. */
export function gainOf(file: Pick<ScanCandidate, 'fragmentCount' | 'idealFragmentCount'>): number {
  return Math.max(0, file.fragmentCount - file.idealFragmentCount);
}

/** Upper bound of a class of `fragmentCountHistogram`, itself included. */
export function countClassMax(classIndex: number): number {
  return 2 ** classIndex;
}

/**
 * Sums log2 classes into wider ones, as the figures of an extent pool have them.
 *
 * @param boundsBytes ascending powers of two; the last one takes the rest and may be anything.
 */
export function freeRunClasses(
  runs: SizeHistogram,
  boundsBytes: readonly number[],
): FreeRunClass[] {
  return boundsBytes.map((bound, index) => {
    const fromBytes = index === 0 ? 0 : (boundsBytes[index - 1] ?? 0);
    const isLast = index === boundsBytes.length - 1;
    let runCount = 0;
    let bytes = 0;
    for (const [exponent, { count, bytes: classBytes }] of runs.entries()) {
      const startBytes = 2 ** exponent;
      if (startBytes < fromBytes || (!isLast && startBytes >= bound)) continue;
      runCount += count;
      bytes += classBytes;
    }
    return { belowBytes: isLast ? null : bound, runCount, bytes };
  });
}
