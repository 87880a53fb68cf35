/**
 * What "fragmented" means, and what is recommended about it. Pure.
 *
 * Formulas (docs/architecture.md explains them to users):
 *   fragmentation ratio = fragmented extents / extents
 *   sequential ratio    = bytes in replicas of one fragment / bytes in replicas
 *   free-space fragmentation = bytes and runs of free space per size class
 *   reclaimable bytes   = bytes that wait for a trim
 */

import { GIB, KIB, MIB } from './units.js';

export type Recommendation = 'None' | 'Consider' | 'Recommended' | 'Urgent';

/** Fragments of this size or more read as fast as one piece on an SSD, so they are left alone. */
export const TARGET_FRAGMENT_BYTES = 64 * MIB;

/** An extent of an extent pool fits one run, so one fragment is its ideal. */
const IDEAL_FRAGMENT_COUNT = 1;

export function isFragmented(sizeBytes: number, fragmentCount: number): boolean {
  return fragmentCount > IDEAL_FRAGMENT_COUNT && sizeBytes / fragmentCount < TARGET_FRAGMENT_BYTES;
}

/** @returns 0–1; an empty pool is not fragmented. */
export function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

export function recommend(fragmentationRatio: number): Recommendation {
  if (fragmentationRatio > 0.5) return 'Urgent';
  if (fragmentationRatio > 0.3) return 'Recommended';
  if (fragmentationRatio > 0.15) return 'Consider';
  return 'None';
}

/** Upper bounds of the size classes of free runs; the last class has none. */
export const FREE_RUN_CLASSES_BYTES = [
  64 * KIB,
  MIB,
  4 * MIB,
  64 * MIB,
  GIB,
  Number.MAX_SAFE_INTEGER,
] as const;

export interface FreeRunClass {
  /** Runs smaller than this and not in a smaller class; null in the last class. */
  readonly belowBytes: number | null;
  readonly runCount: number;
  readonly bytes: number;
}

export interface FragmentationFigures {
  readonly extentCount: number;
  readonly fragmentedExtentCount: number;
  readonly fragmentationRatio: number;
}

export interface DiskFragmentation extends FragmentationFigures {
  readonly diskId: string;
  readonly path: string;
  readonly averageFragmentsPerExtent: number;
  readonly sequentialRatio: number;
  readonly freeBytes: number;
  readonly largestFreeRunBytes: number;
  readonly freeRuns: readonly FreeRunClass[];
  readonly reclaimableBytes: number;
}

export interface TierFragmentation extends FragmentationFigures {
  readonly tier: string;
}

export interface FragmentationAnalysis extends FragmentationFigures {
  readonly analyzedAtMs: number;
  readonly recommendation: Recommendation;
  readonly reclaimableBytes: number;
  readonly disks: readonly DiskFragmentation[];
  readonly tiers: readonly TierFragmentation[];
}
