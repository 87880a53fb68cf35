/** The disk map: a disk as a row of cells, each showing what mostly lies there. Pure. */

import { InvariantError } from './errors.js';
import type { ByteRun } from './units.js';

export const MAP_KINDS = [
  'contiguous',
  'fragment',
  'free',
  'pending',
  'reserved',
  'journal',
] as const;
export type MapKind = (typeof MAP_KINDS)[number];

export interface MapCell {
  /** What takes most of the cell; a fragment shows even where it takes little. */
  readonly kind: MapKind;
  readonly bytes: Readonly<Record<MapKind, number>>;
}

export interface DiskMap {
  readonly cellBytes: number;
  readonly cells: readonly MapCell[];
}

/** Of a cell's bytes, what part must be in fragments for the cell to show as fragmented. */
const FRAGMENT_SHARE_SHOWN = 0.1;

/** @param runs disjoint, in any order, within the capacity; what none covers is the header. */
export function drawDiskMap(
  capacityBytes: number,
  cellCount: number,
  runs: Iterable<ByteRun & { readonly kind: MapKind }>,
): DiskMap {
  if (capacityBytes <= 0 || cellCount <= 0) throw new InvariantError('a map needs room');
  const cellBytes = Math.ceil(capacityBytes / cellCount);
  const cells = Array.from({ length: Math.ceil(capacityBytes / cellBytes) }, emptyBytes);
  for (const { startBytes, lengthBytes, kind } of runs) {
    const endBytes = startBytes + lengthBytes;
    for (let at = startBytes; at < endBytes; ) {
      const index = Math.floor(at / cellBytes);
      const upTo = Math.min(endBytes, (index + 1) * cellBytes);
      const cell = cells[index];
      if (!cell) throw new InvariantError(`run at ${startBytes} lies outside the disk`);
      cell[kind] += upTo - at;
      at = upTo;
    }
  }
  return { cellBytes, cells: cells.map((bytes) => mapCell(bytes, cellBytes)) };
}

/** A cell of which the bytes are known. */
export function mapCell(bytes: Readonly<Record<MapKind, number>>, cellBytes: number): MapCell {
  return { kind: dominant(bytes, cellBytes), bytes };
}

function emptyBytes(): Record<MapKind, number> {
  return { contiguous: 0, fragment: 0, free: 0, pending: 0, reserved: 0, journal: 0 };
}

function dominant(bytes: Readonly<Record<MapKind, number>>, cellBytes: number): MapKind {
  if (bytes.fragment >= cellBytes * FRAGMENT_SHARE_SHOWN) return 'fragment';
  let best: MapKind = 'journal';
  for (const kind of MAP_KINDS) if (bytes[kind] > bytes[best]) best = kind;
  return best;
}
