/**
 * Where things are on a disk of an extent pool. All offsets and lengths are whole blocks.
 *
 *   0           superblock slot A    ┐
 *   512 KiB     superblock slot B    ├ header area, 1 MiB
 *   1 MiB       journal segments, extents and free space, in no fixed order
 */

import { KIB, MIB, roundUp } from '../../domain/units.js';

export const DISK_FORMAT_VERSION = 1;

/** Allocation unit; also what O_DIRECT needs on every device with 4 KiB physical sectors. */
export const BLOCK_BYTES = 4 * KIB;
export const HEADER_BYTES = MIB;
export const SUPERBLOCK_SLOTS_BYTES = [0, 512 * KIB] as const;
export const SUPERBLOCK_BYTES_MAX = 512 * KIB;
export const JOURNAL_SEGMENT_BYTES = MIB;
export const DISK_CAPACITY_BYTES_MIN = 16 * MIB;

/** The name of the backing file in the directory of a directory-backed disk. */
export const BACKING_FILE = 'dynamicfs.data';

export const EXTENT_BYTES_DEFAULT = 4 * MIB;
export const EXTENT_BYTES_MIN = MIB;
export const EXTENT_BYTES_MAX = 64 * MIB;
export const REPLICA_COUNT_MAX = 3;

/** More pieces than this and an extent is refused rather than scattered further. */
export const FRAGMENTS_MAX = 1024;

/** Space that `sizeBytes` of content take on a disk. */
export function allocatedBytes(sizeBytes: number): number {
  return roundUp(sizeBytes, BLOCK_BYTES);
}

/** Two extents or 1 % of the disk, so that a rewrite and the journal always find room. */
export function reserveBytes(capacityBytes: number, extentBytes: number): number {
  const wanted = Math.max(2 * extentBytes, Math.floor(capacityBytes / 100));
  return roundUp(Math.min(wanted, Math.floor(capacityBytes / 4)), BLOCK_BYTES);
}
