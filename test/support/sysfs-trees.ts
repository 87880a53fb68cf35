/**
 * Trees of sysfs for layers that do not exist on every machine: dm-crypt, LVM, md, USB.
 *
 * Laid out as the kernel does: real directories under devices/, links in class/block and slaves.
 */

import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { KernelTrees } from '../../src/kernel/mount-info.js';
import { tempDirectory } from './temp-directory.js';

export interface TreeDevice {
  /** Of the disk for a partition: `sda/sda1` lies inside of `sda`. */
  readonly path: string;
  /** By path below the device. */
  readonly files?: Readonly<Record<string, string>>;
  /** `discard_max_bytes` and `discard_max_hw_bytes`; null for a partition, which has no queue. */
  readonly discards?: readonly [number, number] | null;
  readonly slaves?: readonly string[];
}

/** The stacks that the tests know, from the top down; each device after those that it lies on. */
export function sysfsTree(devices: readonly TreeDevice[]): KernelTrees {
  const root = tempDirectory('sysfs');
  const trees = { procPath: join(root, 'proc'), sysPath: join(root, 'sys') };
  const places = new Map<string, string>();
  mkdirSync(join(trees.sysPath, 'class/block'), { recursive: true });
  for (const {
    path,
    files = {},
    discards = [4_294_966_784, 4_294_966_784],
    slaves = [],
  } of devices) {
    const place = join(trees.sysPath, 'devices', path);
    const name = path.slice(path.lastIndexOf('/') + 1);
    places.set(name, place);
    const queue = discards
      ? {
          'queue/discard_max_bytes': String(discards[0]),
          'queue/discard_max_hw_bytes': String(discards[1]),
          'queue/discard_granularity': discards[0] > 0 ? '512' : '0',
          'queue/rotational': '0',
        }
      : {};
    for (const [file, text] of Object.entries({ size: '2097152', ...queue, ...files })) {
      mkdirSync(dirname(join(place, file)), { recursive: true });
      writeFileSync(join(place, file), `${text}\n`);
    }
    mkdirSync(join(place, 'slaves'), { recursive: true });
    for (const slave of slaves) symlinkSync(places.get(slave) ?? '', join(place, 'slaves', slave));
    symlinkSync(place, join(trees.sysPath, 'class/block', name));
  }
  return trees;
}

const SATA = 'pci0000:00/ata1/host0/target0:0:0/0:0:0:0/block';

export const DISK: TreeDevice = {
  path: `${SATA}/sda`,
  files: { 'device/scsi_disk/0:0:0:0/provisioning_mode': 'unmap', 'device/model': 'SSD' },
};
export const PARTITION: TreeDevice = {
  path: `${SATA}/sda/sda2`,
  files: { partition: '2' },
  discards: null,
};

export function crypt(discards: readonly [number, number], slave = 'sda2'): TreeDevice {
  return {
    path: 'virtual/block/dm-0',
    files: { 'dm/name': 'luks-home', 'dm/uuid': 'CRYPT-LUKS2-0123-luks-home' },
    discards,
    slaves: [slave],
  };
}

export function volume(discards: readonly [number, number], slave = 'dm-0'): TreeDevice {
  return {
    path: 'virtual/block/dm-1',
    files: { 'dm/name': 'vg-data', 'dm/uuid': 'LVM-abcdef' },
    discards,
    slaves: [slave],
  };
}
