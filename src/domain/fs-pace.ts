/**
 * How hard a run works on a mounted file system. Pure.
 *
 * Files are moved in groups, since the flushes of a group are shared; after each group the run rests
 * for a multiple of the time that the group took, so that the share of the disk that it takes does
 * not depend on how fast the disk is.
 */

import type { Intensity } from './defrag-plan.js';
import { MOVE_GROUP_BYTES_MAX, MOVE_GROUP_FILES_MAX } from './move-tasks.js';
import { GIB, MIB } from './units.js';

export interface FsPace {
  readonly groupFilesMax: number;
  readonly groupBytesMax: number;
  /** Of one task, within files, too; null for no limit. */
  readonly rateBytesPerSec: number | null;
  /** Rest after a group or window, as a multiple of the time that it took. */
  readonly restRatio: number;
}

export const FS_DEFRAG_PACE: Readonly<Record<Intensity, FsPace>> = {
  low: { groupFilesMax: 16, groupBytesMax: 16 * MIB, rateBytesPerSec: 8 * MIB, restRatio: 4 },
  medium: { groupFilesMax: 64, groupBytesMax: 32 * MIB, rateBytesPerSec: 32 * MIB, restRatio: 1 },
  high: {
    groupFilesMax: MOVE_GROUP_FILES_MAX,
    groupBytesMax: MOVE_GROUP_BYTES_MAX,
    rateBytesPerSec: null,
    restRatio: 0,
  },
};

/** Of a group while others use the devices. */
export const FS_GIVE_WAY_GROUP = { groupFilesMax: 16, groupBytesMax: 8 * MIB } as const;

export const FS_TRIM_REST_RATIO: Readonly<Record<Intensity, number>> = {
  low: 3,
  medium: 0.5,
  high: 0,
};

/** A batch begins no group after this: the queue gets its turn, and pace and threads are read anew. */
export const FS_BATCH_MS = 2_000;
/** No rest is longer: a disk that stood still once is no reason to sleep for minutes. */
const REST_MS_MAX = 5_000;

export function restMs(busyMs: number, restRatio: number): number {
  return Math.min(REST_MS_MAX, Math.round(busyMs * restRatio));
}

/** Files that a run takes into its store at a time. */
export const CANDIDATE_LIMIT = 50_000;

/** Between the passes of an enabled pool, scans take at most 1/50 of the time. */
const PASS_WAIT_PER_SCAN = 50;
export function passWaitMs(scanMs: number, leastMs: number): number {
  return Math.max(leastMs, scanMs * PASS_WAIT_PER_SCAN);
}

const FREE_SHARE_MIN = 0.02;

/** What a run leaves free for everybody else. */
export function freeBytesFloor(capacityBytes: number): number {
  return Math.min(4 * GIB, Math.max(16 * MIB, Math.round(capacityBytes * FREE_SHARE_MIN)));
}

/** So many files in a row that failed: it is not the files. */
export const FAILURES_IN_A_ROW_MAX = 64;
