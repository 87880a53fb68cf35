/** The drives under the disks of a pool: whether discards reach them, and what they say of their wear. */

import { realpathSync } from 'node:fs';
import { basename } from 'node:path';
import {
  type DeviceLayer,
  dropReason,
  firstDropping,
  layersTopDown,
} from '../../domain/device-layers.js';
import { readLayers } from '../../kernel/device-layers.js';
import { detectMount } from '../../kernel/mount-info.js';
import { readDrive } from '../../kernel/smartctl.js';
import type { DiskRow } from '../../store/disks.js';
import type { StoredDrive } from '../../store/drive-reports.js';
import type { PoolContext } from './context.js';

export interface TrimAbility {
  /** Null where no block device is known, for example on tmpfs. */
  readonly reachesDrive: boolean | null;
  readonly whyNot: string | null;
}

/** What is under a disk, from the top down; empty where that is no block device. */
export function layersOf(disk: DiskRow): DeviceLayer[] {
  try {
    if (disk.kind === 'device') return layersOfDevice(disk.path);
    return detectMount(disk.path).devices.flatMap(({ name }) => readLayers(name) ?? []);
  } catch {
    return [];
  }
}

function layersOfDevice(path: string): DeviceLayer[] {
  const layer = readLayers(basename(realpathSync(path)));
  return layer ? [layer] : [];
}

export function trimAbility(layers: readonly DeviceLayer[]): TrimAbility {
  if (layers.length === 0) {
    return { reachesDrive: null, whyNot: 'no block device is known below this disk' };
  }
  const culprit = layers.map(firstDropping).find((layer) => layer !== null);
  return culprit
    ? { reachesDrive: false, whyNot: dropReason(culprit).what }
    : { reachesDrive: true, whyNot: null };
}

/** Asks the drive of each disk, one after the other, and keeps what it said. */
export async function refreshDrives(context: PoolContext): Promise<void> {
  const { store, clock } = context;
  for (const disk of store.disks.all()) {
    const drives: StoredDrive[] = [];
    for (const deviceName of drivesUnder(layersOf(disk))) {
      const report = await readDrive(`/dev/${deviceName}`);
      drives.push({ deviceName, report, readAtMs: clock() });
    }
    store.transaction(() => store.drives.replace(disk.diskId, drives));
  }
}

/** Whole drives, each once. */
function drivesUnder(layers: readonly DeviceLayer[]): string[] {
  const whole = layers.flatMap(layersTopDown).filter(({ kind }) => kind === 'disk');
  return [...new Set(whole.map(({ name }) => name))];
}
