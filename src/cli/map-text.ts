/** Draws disk maps in a terminal: one character per cell, in colour where the terminal has any. */

import type { MapKind } from '../domain/disk-map.js';
import { formatBytes } from '../domain/units.js';
import { printable } from './printable.js';
import { shortId } from './text.js';

interface Look {
  readonly character: string;
  /** ANSI SGR code. */
  readonly colour: number;
  readonly label: string;
}

/** Characters differ too: colours alone say nothing to some eyes, and nothing in a log. */
const LOOKS: Readonly<Record<MapKind, Look>> = {
  contiguous: { character: '█', colour: 32, label: 'extents' },
  fragment: { character: '▚', colour: 31, label: 'fragments' },
  free: { character: '·', colour: 90, label: 'free' },
  pending: { character: '░', colour: 33, label: 'pending trim' },
  reserved: { character: '▒', colour: 36, label: 'reserved' },
  journal: { character: 'j', colour: 34, label: 'header and journal' },
};

export const MAP_COLUMNS = 64;
export const MAP_ROWS = 8;

export interface ShownMap {
  readonly diskId: string;
  readonly path: string;
  readonly cellBytes: number;
  readonly cells: readonly { readonly kind: MapKind }[];
}

export function mapText(maps: readonly ShownMap[], coloured: boolean): string {
  const paint: Paint = (look, text) => (coloured ? `\u001b[${look.colour}m${text}\u001b[0m` : text);
  const lines: string[] = [];
  for (const map of maps) {
    lines.push(
      `Disk ${shortId(map.diskId)} (${printable(map.path)}), ${formatBytes(map.cellBytes)} a cell:`,
    );
    for (let from = 0; from < map.cells.length; from += MAP_COLUMNS) {
      const row = map.cells.slice(from, from + MAP_COLUMNS);
      lines.push(
        `  ${neighbours(row)
          .map((kinds) => paintCells(kinds, paint))
          .join('')}`,
      );
    }
  }
  const legend = Object.values(LOOKS).map((look) => `${paint(look, look.character)} ${look.label}`);
  lines.push(`  ${legend.join('   ')}`);
  return lines.join('\n');
}

type Paint = (look: Look, text: string) => string;

function paintCells(kinds: readonly MapKind[], paint: Paint): string {
  const look = LOOKS[kinds[0] ?? 'free'];
  return paint(look, look.character.repeat(kinds.length));
}

/** Cells of one kind side by side are painted together: one escape sequence, not one per cell. */
function neighbours(cells: readonly { readonly kind: MapKind }[]): MapKind[][] {
  const groups: MapKind[][] = [];
  for (const { kind } of cells) {
    const last = groups.at(-1);
    if (last?.[0] === kind) last.push(kind);
    else groups.push([kind]);
  }
  return groups;
}

/** Source: no-color.org. */
export function stdoutIsColoured(): boolean {
  return process.stdout.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
}
