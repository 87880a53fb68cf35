/** Draws disk maps in a terminal: one character per cell, in colour where the terminal has any. */

import type { MapKind } from '../domain/disk-map.js';
import { formatBytes } from '../domain/units.js';
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
  const paint = (look: Look, text: string) =>
    coloured ? `\u001b[${look.colour}m${text}\u001b[0m` : text;
  const lines: string[] = [];
  for (const map of maps) {
    lines.push(`Disk ${shortId(map.diskId)} (${map.path}), ${formatBytes(map.cellBytes)} a cell:`);
    for (let from = 0; from < map.cells.length; from += MAP_COLUMNS) {
      const row = map.cells.slice(from, from + MAP_COLUMNS);
      lines.push(`  ${row.map(({ kind }) => paint(LOOKS[kind], LOOKS[kind].character)).join('')}`);
    }
  }
  const legend = Object.values(LOOKS).map((look) => `${paint(look, look.character)} ${look.label}`);
  lines.push(`  ${legend.join('   ')}`);
  return lines.join('\n');
}

/** Source: no-color.org. */
export function stdoutIsColoured(): boolean {
  return process.stdout.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
}
