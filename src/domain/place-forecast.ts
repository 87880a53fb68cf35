/**
 * Whether a piece would lie better after a move, judged before anything is moved. Pure.
 *
 * A piece in many fragments that finds only a middling place now may find a good one when the other
 * files have left theirs: it is put off to the end of the run, and takes any better place only at its
 * last try.
 */

import type { FreeSpaceReport } from './file-scan.js';
import { TARGET_FRAGMENT_BYTES } from './fragmentation.js';
import type { Piece } from './move-plan.js';

/** With fewer there is little to wait for, and nothing to forecast that would not cost as much. */
const FRAGMENTS_MIN = 16;
const BAD_FRAGMENTS_MIN = 4;
/** Tries for a place: 0 is beside others, which hold space; from 1 on nothing else is under way. */
export const LAST_PLACE_TRY = 4;
/** Of what took a bad place then, when all others have moved. */
export const SECOND_MOVE_TRY = 5;
/** Of the fragments of a piece, what a place may leave of them, by the try. */
const GOOD_SHARES: readonly number[] = [0, 0, 1 / 32, 1 / 4, 1, 1 / 32];
/** The same of a place that is only a forecast. */
const GOOD_FORECAST_SHARES: readonly number[] = [1 / 32, 0, 1 / 32, 1 / 4, 1 / 4, 1 / 32];

/** Whether a place that was taken alone is left for a better one, which costs the same again. */
export function isBadPlace(fragmentsAfter: number): boolean {
  return fragmentsAfter >= BAD_FRAGMENTS_MIN;
}

export function isInManyFragments({ fragmentCount }: Pick<Piece, 'fragmentCount'>): boolean {
  return fragmentCount >= FRAGMENTS_MIN;
}

/**
 * Whether a place of so many fragments is taken, rather than another one later. It is as good as any
 * when it has one fragment more than ideal per 64 MiB, which may be all that there is in one piece.
 */
export function isGoodPlace(piece: Piece, fragmentsAfter: number, placeTry: number): boolean {
  if (fragmentsAfter >= piece.fragmentCount) return false;
  if (!isInManyFragments(piece) && placeTry !== SECOND_MOVE_TRY) return true;
  const share = GOOD_SHARES[placeTry] ?? 0;
  const spared = Math.floor(piece.allocatedBytes / TARGET_FRAGMENT_BYTES);
  return fragmentsAfter <= piece.idealFragmentCount + spared + piece.fragmentCount * share;
}

/** The same of a place that is only a forecast. */
export function isGoodForecast(piece: Piece, forecastCount: number, placeTry: number): boolean {
  const share = GOOD_FORECAST_SHARES[placeTry] ?? 0;
  return forecastCount <= piece.idealFragmentCount + piece.fragmentCount * share;
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
