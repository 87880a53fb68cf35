/**
 * Whether a piece would lie better after a move, judged before anything is moved. Pure.
 *
 * A piece in many fragments that finds only a middling place now may find a good one when the other
 * files have left theirs: it is put off to the end of the run, and then takes any place that is
 * worth the move.
 */

import type { FreeSpaceReport } from './file-scan.js';
import { TARGET_FRAGMENT_BYTES } from './fragmentation.js';
import type { Piece } from './move-plan.js';

/** With fewer there is little to wait for, and nothing to forecast that would not cost as much. */
const FRAGMENTS_MIN = 16;
/** Of the fragments of a piece, what a forecast may leave of them when the piece is not put off. */
const GOOD_FORECAST_SHARE = 1 / 32;
/** The same at the end of the run. */
const LAST_FORECAST_SHARE = 1 / 4;

export function isInManyFragments({ fragmentCount }: Pick<Piece, 'fragmentCount'>): boolean {
  return fragmentCount >= FRAGMENTS_MIN;
}

/**
 * Whether a place of so many fragments is taken at once, rather than another one at the end. It is as
 * good as any when it has one fragment more than ideal per 64 MiB, which may be all that there is in
 * one piece.
 */
export function isGoodPlace(piece: Piece, fragmentsAfter: number): boolean {
  if (!isInManyFragments(piece)) return fragmentsAfter < piece.fragmentCount;
  const sparedCount = Math.floor(piece.allocatedBytes / TARGET_FRAGMENT_BYTES);
  return fragmentsAfter <= piece.idealFragmentCount + sparedCount;
}

/** The same of a place that is only a forecast. */
export function isGoodForecast(piece: Piece, forecastCount: number): boolean {
  return forecastCount <= piece.idealFragmentCount + piece.fragmentCount * GOOD_FORECAST_SHARE;
}

export function isWorthLastTry(piece: Piece, forecastCount: number): boolean {
  return forecastCount <= piece.idealFragmentCount + piece.fragmentCount * LAST_FORECAST_SHARE;
}

type FreeBySize = Pick<FreeSpaceReport, 'largestBytes' | 'runs'>;

/**
 * The least fragments in which `lengthBytes` would lie, if they got the largest free runs. Btrfs does
 * a little worse: it halves what finds no run as large.
 *
 * @returns Infinity when there is less space than that.
 *
 * Source: fs/btrfs/extent-tree.c (btrfs_reserve_extent).
 */
export function forecastFragments({ largestBytes, runs }: FreeBySize, lengthBytes: number): number {
  if (lengthBytes <= largestBytes) return 1;
  let restBytes = lengthBytes;
  let fragmentCount = 0;
  for (const { count, bytes } of runs.toReversed()) {
    if (restBytes <= bytes) return fragmentCount + Math.ceil(restBytes / (bytes / count));
    restBytes -= bytes;
    fragmentCount += count;
  }
  return Number.POSITIVE_INFINITY;
}
