/** The map that `defrag analyze --map` prints of a mounted file system, against where files really lie. */

import { execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { MAP_COLUMNS, MAP_ROWS, mapText } from '../../src/cli/map-text.js';
import { fragmentsOf } from '../../src/domain/move-plan.js';
import { MIB } from '../../src/domain/units.js';
import { fileMappings } from '../../src/kernel/file-state.js';
import { CliNode } from '../support/cli-run.js';
import { fsNode, makeFiles } from '../support/fs-lab.js';
import { canMount, LOOP_FS_TYPES, LoopMount } from '../support/loop-mounts.js';

const node = new CliNode();
afterAll(() => node.stop());

const ROW = new RegExp(`^ {2}([█▚·░▒j]{1,${MAP_COLUMNS}})$`);
const WHOLE_BYTES = 64 * MIB;

describe.skipIf(!canMount).each(LOOP_FS_TYPES)('the printed map of %s', (fsType) => {
  it('shows what lies in fragments, what lies whole and what is free, before and after a run', async () => {
    using mount = new LoopMount(fsType);
    makeFiles(mount, 24);
    execFileSync('fallocate', ['-l', String(WHOLE_BYTES), mount.path('whole')]);
    execFileSync('sync', ['-f', mount.mountPath]);
    const flags = ['--pool', mount.mountPath];
    await node.json('init', flags);

    const before = await printedMap(flags);
    expect(count(before, '▚')).toBeGreaterThan(0);
    expect(count(before, '·')).toBeGreaterThan(before.cells.length / 2);
    // All but its first and last cell, which others may share.
    const wholeCells = Math.floor(WHOLE_BYTES / before.cellBytes);
    expect(count(before, '█')).toBeGreaterThanOrEqual(wholeCells - 2);
    if (fsType !== 'btrfs') expect(cellsOf(mount, before)).toMatch(/^█+$/);

    const start = ['--once', '--wait', '--intensity', 'high', '--min-age', '0'];
    await node.json('defrag start', [...flags, ...start]);
    const after = await printedMap(flags);
    expect(count(after, '▚')).toBeLessThan(count(before, '▚'));
  });
});

interface PrintedMap {
  readonly cells: string;
  readonly cellBytes: number;
}

/** The cells as they are printed; the same as `--json` has, drawn. */
async function printedMap(flags: readonly string[]): Promise<PrintedMap> {
  const text = await node.text('defrag', 'analyze', '--map', ...flags);
  const analysis = fsNode(await node.json('defrag analyze', [...flags, '--map']));
  expect(text.endsWith(`\n\n${mapText(analysis.maps ?? [], false)}\n`)).toBe(true);
  const rows = text.split('\n').flatMap((line) => ROW.exec(line)?.[1] ?? []);
  expect(rows.length).toBeLessThanOrEqual(MAP_ROWS);
  const [map] = analysis.maps ?? [];
  const cells = rows.join('');
  expect(cells).toHaveLength(map?.cells.length ?? 0);
  return { cells, cellBytes: map?.cellBytes ?? 0 };
}

function count({ cells }: PrintedMap, character: string): number {
  return cells.split(character).length - 1;
}

/** The cells inside the large file, by FIEMAP: on Btrfs that tells no place on the device. */
function cellsOf(mount: LoopMount, { cells, cellBytes }: PrintedMap): string {
  const path = mount.path('whole');
  const fd = openSync(path, 'r');
  try {
    const whole = { startBytes: 0, lengthBytes: WHOLE_BYTES };
    return fragmentsOf(fileMappings({ fd, path }, whole))
      .map(({ physicalBytes, lengthBytes }) => {
        const from = Math.ceil(physicalBytes / cellBytes);
        return cells.slice(from, Math.floor((physicalBytes + lengthBytes) / cellBytes));
      })
      .join('');
  } finally {
    closeSync(fd);
  }
}
