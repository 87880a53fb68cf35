/**
 * Which piece of a file is moved, read from its mappings. Pure.
 *
 * A fragment is a row of mappings that touch each other on the disk and in the file. A hole ends a
 * fragment, but costs nothing: the ideal is one fragment per row of bytes between holes.
 */

import type { MaintenanceError } from './errors.js';
import { TARGET_FRAGMENT_BYTES } from './fragmentation.js';
import type { SkipReason } from './move-tasks.js';
import { type ByteRun, MIB } from './units.js';

/** ext4's largest mapping; what a donor takes while its piece moves. */
export const PIECE_BYTES_MAX = 128 * MIB;

/** Numbers per mapping: logical, physical and length in bytes, flags. */
const MAPPING_FIELDS = 4;

/** Source: linux/fiemap.h, FIEMAP_EXTENT_*. */
export const MAPPING_FLAG = {
  unknown: 0x2,
  delayed: 0x4,
  encoded: 0x8,
  encrypted: 0x80,
  inline: 0x200,
  unwritten: 0x800,
  shared: 0x2000,
} as const;

/** Four numbers per mapping, in the order of the file. */
export type MappingRecords = Float64Array;

/** One fragment. */
export interface Fragment {
  readonly startBytes: number;
  readonly lengthBytes: number;
  readonly physicalBytes: number;
}

export interface Piece {
  readonly startBytes: number;
  /** Up to the end of its last fragment, holes included. */
  readonly lengthBytes: number;
  readonly allocatedBytes: number;
  readonly fragmentCount: number;
  readonly idealFragmentCount: number;
}

/** @returns all flags that any mapping has. */
export function flagsOf(records: MappingRecords): number {
  let flags = 0;
  for (let at = 3; at < records.length; at += MAPPING_FIELDS) flags |= records[at] ?? 0;
  return flags;
}

/** Joins what touches on the disk and in the file, written or not. */
export function fragmentsOf(records: MappingRecords): Fragment[] {
  const fragments: { startBytes: number; lengthBytes: number; physicalBytes: number }[] = [];
  for (let at = 0; at < records.length; at += MAPPING_FIELDS) {
    const startBytes = records[at] ?? 0;
    const physicalBytes = records[at + 1] ?? 0;
    const lengthBytes = records[at + 2] ?? 0;
    const last = fragments.at(-1);
    if (
      last &&
      last.startBytes + last.lengthBytes === startBytes &&
      last.physicalBytes + last.lengthBytes === physicalBytes
    ) {
      last.lengthBytes += lengthBytes;
    } else {
      fragments.push({ startBytes, lengthBytes, physicalBytes });
    }
  }
  return fragments;
}

/**
 * Lists the rows of bytes between holes within a piece, joined and cut to it.
 *
 * @param writtenOnly leaves out what is allocated but unwritten, which reads as zeros.
 */
export function rangesOf(records: MappingRecords, piece: ByteRun, writtenOnly: boolean): ByteRun[] {
  const ranges: { startBytes: number; lengthBytes: number }[] = [];
  const pieceEndBytes = piece.startBytes + piece.lengthBytes;
  for (let at = 0; at < records.length; at += MAPPING_FIELDS) {
    const logicalBytes = records[at] ?? 0;
    const mappedBytes = records[at + 2] ?? 0;
    if (writtenOnly && ((records[at + 3] ?? 0) & MAPPING_FLAG.unwritten) !== 0) continue;
    const startBytes = Math.max(logicalBytes, piece.startBytes);
    const lengthBytes = Math.min(logicalBytes + mappedBytes, pieceEndBytes) - startBytes;
    if (lengthBytes <= 0) continue;
    const last = ranges.at(-1);
    if (last && last.startBytes + last.lengthBytes === startBytes) last.lengthBytes += lengthBytes;
    else ranges.push({ startBytes, lengthBytes });
  }
  return ranges;
}

/** Cuts the fragments to a piece. */
export function fragmentsWithin(fragments: readonly Fragment[], piece: ByteRun): Fragment[] {
  const endBytes = piece.startBytes + piece.lengthBytes;
  return fragments.flatMap((fragment) => {
    const startBytes = Math.max(fragment.startBytes, piece.startBytes);
    const lengthBytes = Math.min(fragment.startBytes + fragment.lengthBytes, endBytes) - startBytes;
    if (lengthBytes <= 0) return [];
    const physicalBytes = fragment.physicalBytes + startBytes - fragment.startBytes;
    return [{ startBytes, lengthBytes, physicalBytes }];
  });
}

/**
 * Finds the first piece at or after `startBytes` that is worth moving.
 *
 * Fragments of the target size are left where they are. A piece of fewer bytes than the file's is
 * possible where the kernel's interface allows it.
 *
 * @returns null when nothing from there on is fragmented.
 */
export function choosePiece(
  fragments: readonly Fragment[],
  startBytes: number,
  pieceBytesMax: number,
): Piece | null {
  let at = fragments.findIndex((one) => one.startBytes + one.lengthBytes > startBytes);
  if (at < 0) return null;
  let fromBytes = startBytes;
  while (at < fragments.length) {
    const first = fragments[at];
    if (!first) break;
    if (first.lengthBytes >= TARGET_FRAGMENT_BYTES) {
      at += 1;
      continue;
    }
    const { piece, next } = gatherPiece(fragments, at, fromBytes, pieceBytesMax);
    if (isWorthMoving(piece)) return piece;
    fromBytes = piece.startBytes + piece.lengthBytes;
    at = next;
  }
  return null;
}

function gatherPiece(
  fragments: readonly Fragment[],
  first: number,
  fromBytes: number,
  pieceBytesMax: number,
): { piece: Piece; next: number } {
  const startBytes = Math.max(fragments[first]?.startBytes ?? 0, fromBytes);
  let endBytes = startBytes;
  let allocatedBytes = 0;
  let fragmentCount = 0;
  let idealFragmentCount = 0;
  let next = first;
  for (; next < fragments.length; next += 1) {
    const fragment = fragments[next];
    if (!fragment || fragment.lengthBytes >= TARGET_FRAGMENT_BYTES) break;
    const beginBytes = Math.max(fragment.startBytes, startBytes);
    const wantedEndBytes = fragment.startBytes + fragment.lengthBytes;
    const cutBytes = Math.min(wantedEndBytes, startBytes + pieceBytesMax);
    if (cutBytes <= beginBytes) break;
    if (fragmentCount === 0 || beginBytes > endBytes) idealFragmentCount += 1;
    allocatedBytes += cutBytes - beginBytes;
    fragmentCount += 1;
    endBytes = cutBytes;
    if (cutBytes < wantedEndBytes) break;
  }
  const lengthBytes = endBytes - startBytes;
  return {
    piece: { startBytes, lengthBytes, allocatedBytes, fragmentCount, idealFragmentCount },
    next,
  };
}

/** Takes the file as one piece, for interfaces that can do no less. */
export function wholePiece(fragments: readonly Fragment[]): Piece | null {
  const last = fragments.at(-1);
  if (!last) return null;
  const whole = {
    startBytes: 0,
    lengthBytes: last.startBytes + last.lengthBytes,
    allocatedBytes: fragments.reduce((sum, one) => sum + one.lengthBytes, 0),
    fragmentCount: fragments.length,
    idealFragmentCount: logicalRangeCount(fragments),
  };
  return isWorthMoving(whole) ? whole : null;
}

function logicalRangeCount(fragments: readonly Fragment[]): number {
  let count = 0;
  let endBytes = -1;
  for (const fragment of fragments) {
    if (fragment.startBytes !== endBytes) count += 1;
    endBytes = fragment.startBytes + fragment.lengthBytes;
  }
  return count;
}

function isWorthMoving({ fragmentCount, idealFragmentCount, allocatedBytes }: Piece): boolean {
  return (
    fragmentCount > idealFragmentCount && allocatedBytes / fragmentCount < TARGET_FRAGMENT_BYTES
  );
}

export interface FileState {
  readonly isRegularFile: boolean;
  readonly sizeBytes: number;
  readonly changedMsAgo: number;
  /** STATX_ATTR bits. */
  readonly attributes: number;
  readonly isSwapFile: boolean;
  readonly isOptedOut: boolean;
}

/** Source: linux/stat.h, STATX_ATTR_*. */
const ATTRIBUTE = {
  compressed: 0x4,
  immutable: 0x10,
  appendOnly: 0x20,
  encrypted: 0x800,
  verity: 0x100000,
  dax: 0x200000,
} as const;

/** @returns why a file must be left alone, before its mappings are looked at; else null. */
export function guardFile(state: FileState, quietMs: number): SkipReason | null {
  const has = (attribute: number): boolean => (state.attributes & attribute) !== 0;
  if (!state.isRegularFile) return 'not-a-regular-file';
  if (has(ATTRIBUTE.immutable)) return 'immutable';
  if (has(ATTRIBUTE.appendOnly)) return 'append-only';
  if (has(ATTRIBUTE.encrypted)) return 'encrypted';
  if (has(ATTRIBUTE.verity)) return 'verity';
  if (has(ATTRIBUTE.dax)) return 'dax';
  if (state.isSwapFile) return 'swap-file';
  if (state.isOptedOut) return 'opted-out';
  if (state.sizeBytes === 0) return 'contiguous';
  if (state.changedMsAgo < quietMs) return 'just-written';
  return null;
}

/** @returns why a file must be left alone for what its mappings are; else null. */
export function guardMappings(flags: number, allowUnshare: boolean): SkipReason | null {
  if ((flags & MAPPING_FLAG.encrypted) !== 0) return 'encrypted';
  if ((flags & MAPPING_FLAG.encoded) !== 0) return 'compressed';
  if ((flags & MAPPING_FLAG.inline) !== 0) return 'inline';
  if ((flags & MAPPING_FLAG.shared) !== 0 && !allowUnshare) return 'shared';
  if ((flags & (MAPPING_FLAG.delayed | MAPPING_FLAG.unknown)) !== 0) return 'just-written';
  return null;
}

/** The windows of a range, in order; the last may be shorter. */
export function windowsOf(range: ByteRun, windowBytes: number): ByteRun[] {
  const windows: ByteRun[] = [];
  const endBytes = range.startBytes + range.lengthBytes;
  for (let at = range.startBytes; at < endBytes; at += windowBytes) {
    windows.push({ startBytes: at, lengthBytes: Math.min(windowBytes, endBytes - at) });
  }
  return windows;
}

/** Cuts ranges at the end of a file, whose last block is partly behind it. */
export function cutAt(ranges: readonly ByteRun[], endBytes: number): ByteRun[] {
  return ranges.flatMap(({ startBytes, lengthBytes }) => {
    const cutBytes = Math.min(startBytes + lengthBytes, endBytes) - startBytes;
    return cutBytes > 0 ? [{ startBytes, lengthBytes: cutBytes }] : [];
  });
}

const SKIP_BY_ERRNO: Readonly<Record<string, SkipReason>> = {
  ESTALE: 'vanished',
  ENOENT: 'vanished',
  EROFS: 'read-only',
  ENOSPC: 'no-space',
  EDQUOT: 'no-space',
  EFBIG: 'too-large',
  ETXTBSY: 'busy',
  EBUSY: 'busy',
  EOPNOTSUPP: 'unsupported',
  ENOTTY: 'unsupported',
};

/** @returns null when an error is no reason to leave a file alone, but a failure. */
export function skipReasonOf(error: MaintenanceError): SkipReason | null {
  if (error.code === 'ERR_MAP_CHANGED') return 'changed';
  return SKIP_BY_ERRNO[String(error.details.errnoName)] ?? null;
}
