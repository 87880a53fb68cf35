/** The analysis of a mounted file system: what a scan found, as figures with a recommendation. Pure. */

import type { WireError } from './errors.js';
import {
  type DeviceFreeSpace,
  type FreeSpaceReport,
  fragmentationRatio,
  freeRunClasses,
  gainOf,
  type ScanCandidate,
  type ScanReport,
  type SizeClass,
  sequentialRatio,
  type TierFigures,
} from './file-scan.js';
import {
  FREE_RUN_CLASSES_BYTES,
  type FragmentationFigures,
  type FreeRunClass,
  type Recommendation,
  ratio,
  recommend,
} from './fragmentation.js';
import { TIERS, type Tier } from './heat.js';

export interface FsAnalysis extends FragmentationFigures {
  readonly analyzedAtMs: number;
  readonly durationMs: number;
  /** Null when it is incomplete: a part recommends nothing for the whole. */
  readonly recommendation: Recommendation | null;
  /** What could not be read; then every figure is that of the rest. Null when nothing is missing. */
  readonly incomplete: WireError | null;
  readonly method: ScanReport['method'];
  readonly fallbackReason: string | null;
  readonly slowReason: string | null;
  readonly disks: readonly FsDiskFigures[];
  readonly tiers: readonly FsTierFigures[];
  readonly files: FsFileFigures;
  /** Class i: files of up to 2^i fragments and more than the class before. */
  readonly fragmentCounts: readonly number[];
  /** Class i: fragments of 2^i to 2^(i+1) - 1 bytes. */
  readonly fragmentSizes: readonly SizeClass[];
  readonly worstFiles: readonly FsWorstFile[];
  /** Null where the file system tells nobody. */
  readonly freeSpace: FsFreeSpace | null;
}

/**
 * The file system, or each device of a Btrfs of several. Files count on each device that holds data
 * of theirs, with the fragments that touch it; copies on two devices count on both.
 */
export interface FsDiskFigures extends FragmentationFigures {
  readonly diskId: string;
  readonly path: string;
  readonly devices: readonly string[];
  readonly averageFragmentsPerExtent: number;
  readonly sequentialRatio: number;
  readonly allocatedBytes: number;
  /** Null where it is not known. */
  readonly capacityBytes: number | null;
  readonly freeSpace: FsFreeRuns | null;
}

export interface FsFreeRuns {
  readonly freeBytes: number;
  readonly largestRunBytes: number;
  readonly runCount: number;
  readonly runs: readonly FreeRunClass[];
}

export interface FsTierFigures extends FragmentationFigures {
  readonly tier: Tier;
  readonly allocatedBytes: number;
}

/** Counts of the scan as they are. */
export type FsFileFigures = Pick<
  ScanReport,
  | 'sizeBytes'
  | 'allocatedBytes'
  | 'mappingCount'
  | 'fragmentCount'
  | 'sharedCount'
  | 'sharedBytes'
  | 'sharedKnown'
  | 'compressedCount'
  | 'compressedBytes'
  | 'unwrittenCount'
  | 'unwrittenBytes'
  | 'inlineCount'
  | 'sparseCount'
  | 'emptyCount'
  | 'hardLinkedCount'
  | 'failedCount'
  | 'missedPartCount'
  | 'vanishedCount'
  | 'otherMountCount'
>;

export interface FsWorstFile {
  /** Below the mount, in hex of its bytes; null when no name was found. */
  readonly pathHex: string | null;
  readonly fragmentCount: number;
  readonly idealFragmentCount: number;
  /** Fragments that defragmenting it would save. */
  readonly gain: number;
  readonly sizeBytes: number;
  readonly allocatedBytes: number;
  readonly tier: Tier;
  readonly flags: readonly string[];
}

export interface FsFreeSpace extends FsFreeRuns {
  readonly source: FreeSpaceReport['source'];
}

export interface AnalyzedDisk {
  readonly diskId: string;
  readonly path: string;
  readonly devices: readonly string[];
  readonly capacityBytes: number | null;
}

/** @param worstCount of how many files the report tells by name. */
export function makeFsAnalysis(
  scan: ScanReport,
  freeSpace: FreeSpaceReport | null,
  disk: AnalyzedDisk,
  options: {
    readonly nowMs: number;
    readonly worstCount: number;
    readonly incomplete: WireError | null;
  },
): FsAnalysis {
  const figures = {
    extentCount: scan.fileCount,
    fragmentedExtentCount: scan.fragmentedCount,
    fragmentationRatio: fragmentationRatio(scan),
  };
  return {
    analyzedAtMs: options.nowMs,
    durationMs: scan.durationMs,
    ...figures,
    recommendation: options.incomplete ? null : recommend(figures.fragmentationRatio),
    incomplete: options.incomplete,
    method: scan.method,
    fallbackReason: scan.fallbackReason,
    slowReason: scan.slowReason,
    disks: diskFigures(scan, freeSpace, disk),
    tiers: TIERS.map((tier) => tierFigures(scan, tier)),
    files: fileFigures(scan),
    fragmentCounts: scan.fragmentCountHistogram,
    fragmentSizes: scan.fragmentSizeHistogram,
    worstFiles: scan.candidates.slice(0, options.worstCount).map(worstFile),
    freeSpace: freeSpace && { source: freeSpace.source, ...freeRuns(freeSpace) },
  };
}

function diskFigures(
  scan: ScanReport,
  freeSpace: FreeSpaceReport | null,
  disk: AnalyzedDisk,
): FsDiskFigures[] {
  if (scan.devices.length === 0) {
    return [{ ...disk, ...countsOf(scan), freeSpace: freeSpace && freeRuns(freeSpace) }];
  }
  return scan.devices.map((device, index) => {
    const free = freeSpace?.devices[index];
    return {
      diskId: `${disk.diskId}:${index + 1}`,
      path: disk.path,
      devices: device.path === '' ? [] : [device.path],
      capacityBytes: device.sizeBytes,
      ...countsOf(device),
      freeSpace: free ? freeRuns(free) : null,
    };
  });
}

function countsOf(counts: TierFigures & Pick<ScanReport, 'contiguousBytes'>) {
  const { fileCount, fragmentedCount, fragmentCount, allocatedBytes } = counts;
  return {
    extentCount: fileCount,
    fragmentedExtentCount: fragmentedCount,
    fragmentationRatio: fragmentationRatio(counts),
    averageFragmentsPerExtent: ratio(fragmentCount, fileCount),
    sequentialRatio: allocatedBytes === 0 ? 1 : sequentialRatio(counts),
    allocatedBytes,
  };
}

function freeRuns(space: Omit<DeviceFreeSpace, 'path' | 'sizeBytes'>): FsFreeRuns {
  return {
    freeBytes: space.freeBytes,
    largestRunBytes: space.largestBytes,
    runCount: space.runCount,
    runs: freeRunClasses(space.runs, FREE_RUN_CLASSES_BYTES),
  };
}

function tierFigures(scan: ScanReport, tier: Tier): FsTierFigures {
  const { fileCount, fragmentedCount, allocatedBytes } = scan.tiers[tier];
  return {
    tier,
    extentCount: fileCount,
    fragmentedExtentCount: fragmentedCount,
    fragmentationRatio: ratio(fragmentedCount, fileCount),
    allocatedBytes,
  };
}

function fileFigures(scan: ScanReport): FsFileFigures {
  const { sizeBytes, allocatedBytes, mappingCount, fragmentCount } = scan;
  const { sharedCount, sharedBytes, sharedKnown, compressedCount, compressedBytes } = scan;
  const { unwrittenCount, unwrittenBytes, inlineCount, sparseCount, emptyCount } = scan;
  const { hardLinkedCount, failedCount, missedPartCount } = scan;
  const { vanishedCount, otherMountCount } = scan;
  return {
    ...{ sizeBytes, allocatedBytes, mappingCount, fragmentCount },
    ...{ sharedCount, sharedBytes, sharedKnown, compressedCount, compressedBytes },
    ...{ unwrittenCount, unwrittenBytes, inlineCount, sparseCount, emptyCount },
    ...{ hardLinkedCount, failedCount, missedPartCount, vanishedCount, otherMountCount },
  };
}

function worstFile(file: ScanCandidate): FsWorstFile {
  const { pathHex, fragmentCount, idealFragmentCount, sizeBytes, allocatedBytes } = file;
  const { tier, flags } = file;
  return {
    ...{ pathHex, fragmentCount, idealFragmentCount, gain: gainOf(file) },
    ...{ sizeBytes, allocatedBytes, tier, flags },
  };
}
