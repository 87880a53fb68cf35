/**
 * Trees of sysfs, with the files that `doctor` reads, laid out as the kernel does: real directories
 * under devices/, links in class/block and slaves.
 *
 * VIRTIO and LOOP are recorded: names, paths and values are those of a machine with Linux 6.18. What
 * could not be made there follows what others have published; sizes and numbers are theirs, too:
 * - dm/name and dm/uuid: Documentation/ABI/testing/sysfs-block-dm.
 * - CRYPT: `CRYPT-LUKS2-`, the UUID of the container without hyphens, the name; as listed in
 *   project-machine/disko issue 47.
 * - VOLUME: `LVM-` and 64 characters below devices/virtual/block; as listed in canonical/probert
 *   pull request 121.
 * - THIN: data and metadata below a device named `-tpool`, thin volumes above it, hyphens doubled;
 *   as Proxmox lists its pool `pve/data`.
 * - RAID5: no discards, though its members take them, before devices_handle_discard_safely is set:
 *   torvalds/linux 8e0e99ba64c7.
 * - USB: a SATA disk of 500 GB behind an ASMedia bridge with uas, which lsblk -D shows without
 *   discards; as listed in superuser.com question 1740543. Its mode: Documentation/ABI, scsi_disk.
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
  readonly rotational?: boolean;
  readonly slaves?: readonly string[];
  /** `device`, from below devices/; else the directory above `block`, as for SCSI. */
  readonly device?: string;
}

/** @param devices from the bottom up; each after those that it lies on. */
export function sysfsTree(devices: readonly TreeDevice[]): KernelTrees {
  const root = tempDirectory('sysfs');
  const trees = { procPath: join(root, 'proc'), sysPath: join(root, 'sys') };
  const places = new Map<string, string>();
  mkdirSync(join(trees.sysPath, 'class/block'), { recursive: true });
  for (const shape of devices) {
    const { path, files = {}, discards = [4_294_966_784, 4_294_966_784], slaves = [] } = shape;
    const place = join(trees.sysPath, 'devices', path);
    const name = path.slice(path.lastIndexOf('/') + 1);
    places.set(name, place);
    const queue = discards
      ? {
          'queue/discard_max_bytes': String(discards[0]),
          'queue/discard_max_hw_bytes': String(discards[1]),
          'queue/discard_granularity': discards[0] > 0 ? '4096' : '0',
          'queue/rotational': shape.rotational ? '1' : '0',
        }
      : {};
    mkdirSync(join(place, 'slaves'), { recursive: true });
    if (shape.device !== undefined) {
      mkdirSync(join(trees.sysPath, 'devices', shape.device), { recursive: true });
      symlinkSync(join(trees.sysPath, 'devices', shape.device), join(place, 'device'));
    }
    for (const [file, text] of Object.entries({ size: '2097152', ...queue, ...files })) {
      mkdirSync(dirname(join(place, file)), { recursive: true });
      writeFileSync(join(place, file), `${text}\n`);
    }
    for (const slave of slaves) symlinkSync(places.get(slave) ?? '', join(place, 'slaves', slave));
    symlinkSync(place, join(trees.sysPath, 'class/block', name));
  }
  return trees;
}

export const TAKES = [4_294_966_784, 4_294_966_784] as const;
export const NONE = [0, 0] as const;
type Discards = readonly [number, number];

/** Recorded. A virtual disk says that it rotates, whatever its host has. */
export function virtio(discards: Discards = [1_073_741_824, 1_073_741_824]): TreeDevice {
  return {
    path: 'pci0000:00/0000:00:02.0/virtio1/block/vda',
    device: 'pci0000:00/0000:00:02.0/virtio1',
    files: {
      size: '536870912',
      'device/vendor': '0x1af4',
      'device/modalias': 'virtio:d00000002v00001AF4',
    },
    discards,
    rotational: true,
  };
}

/** Recorded. It takes the flag of its file's disk over. */
export function loop(discards: Discards = TAKES): TreeDevice {
  return {
    path: 'virtual/block/loop1',
    files: {
      size: '50331648',
      'loop/autoclear': '1',
      'loop/backing_file': '/srv/image',
      'loop/dio': '0',
      'loop/offset': '0',
      'loop/partscan': '0',
      'loop/sizelimit': '0',
    },
    discards,
    rotational: true,
  };
}

const SATA = 'pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0';

export const DISK: TreeDevice = {
  path: `${SATA}/block/sda`,
  device: SATA,
  files: {
    'device/scsi_disk/0:0:0:0/provisioning_mode': 'unmap',
    'device/vendor': 'ATA',
    'device/model': 'SSD',
  },
};
export const SECOND_DISK: TreeDevice = {
  ...DISK,
  path: `${SATA.replace('ata1', 'ata2')}/block/sdb`,
  device: SATA.replace('ata1', 'ata2'),
};
export const PARTITION: TreeDevice = {
  path: `${SATA}/block/sda/sda2`,
  files: { partition: '2' },
  discards: null,
};

const BRIDGE = 'pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host1/target1:0:0/1:0:0:0';
export const USB: TreeDevice = {
  path: `${BRIDGE}/block/sdb`,
  device: BRIDGE,
  files: {
    size: '976773168',
    'device/vendor': 'CT500MX5',
    'device/model': '00SSD1',
    'device/scsi_disk/1:0:0:0/provisioning_mode': 'full',
  },
  discards: NONE,
};

function mapped(number: number, name: string, uuid: string, discards: Discards, slaves: string[]) {
  const files = { 'dm/name': name, 'dm/uuid': uuid, 'dm/suspended': '0' };
  return { path: `virtual/block/dm-${number}`, files, discards, slaves };
}

export function crypt(discards: Discards, slave = 'sda2'): TreeDevice {
  const container = 'af6c1825c3244fb1a86ada51d9a32b94';
  return mapped(0, 'luks-home', `CRYPT-LUKS2-${container}-luks-home`, discards, [slave]);
}

const GROUP = 'N6UVY8cmohiC07sinSFiY4avKgfs1Lxv';

export function volume(discards: Discards, slave = 'dm-0'): TreeDevice {
  const uuid = `LVM-${GROUP}EG443JVOOTBYjD7h9Kwc4vnYerfwZJdi`;
  return mapped(1, 'vgubuntu-root', uuid, discards, [slave]);
}

/** The top is `dm-5`. */
export function thinVolume(discards: Discards, slave = 'sda'): TreeDevice[] {
  const id = (letter: string) => `LVM-${GROUP}${letter.repeat(32)}`;
  return [
    mapped(2, 'pve-data_tmeta', `${id('m')}-tmeta`, TAKES, [slave]),
    mapped(3, 'pve-data_tdata', `${id('d')}-tdata`, TAKES, [slave]),
    mapped(4, 'pve-data-tpool', `${id('p')}-tpool`, TAKES, ['dm-2', 'dm-3']),
    mapped(5, 'pve-vm--2001--disk--0', id('v'), discards, ['dm-4']),
  ];
}

export function array(level: string, discards: Discards): TreeDevice {
  return {
    path: 'virtual/block/md0',
    files: { 'md/level': level, 'md/raid_disks': '2', 'md/array_state': 'clean' },
    discards,
    slaves: ['sda', 'sdb'],
  };
}
