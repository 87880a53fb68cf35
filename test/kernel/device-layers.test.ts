/** Stacks of devices as sysfs shows them, and which of the layers drops discards. */

import { describe, expect, it } from 'vitest';
import {
  type DeviceLayer,
  describeLayers,
  dropReason,
  firstDropping,
} from '../../src/domain/device-layers.js';
import { readLayers } from '../../src/kernel/device-layers.js';
import type { KernelTrees } from '../../src/kernel/mount-info.js';
import {
  array,
  crypt,
  DISK,
  loop,
  NONE,
  PARTITION,
  SECOND_DISK,
  sysfsTree,
  TAKES,
  thinVolume,
  USB,
  virtio,
  volume,
} from '../support/sysfs-trees.js';

function layersOf(name: string, trees: KernelTrees): DeviceLayer {
  const layers = readLayers(name, trees);
  if (!layers) throw new Error(`${name} is not in the tree`);
  return layers;
}

describe('LVM on dm-crypt on a partition', () => {
  it('is read from the volume down to the disk', () => {
    const top = layersOf('dm-1', sysfsTree([DISK, PARTITION, crypt(TAKES), volume(TAKES)]));
    expect(describeLayers(top)).toBe(
      'lvm vgubuntu-root (dm-1) → dm-crypt luks-home (dm-0) → partition sda2 → disk sda',
    );
    expect(top.below[0]?.below[0]).toMatchObject({
      kind: 'partition',
      discardMaxBytes: 4_294_966_784,
    });
    expect(firstDropping(top)).toBe(null);
  });

  it('loses discards in dm-crypt that was opened without them, not in the volume above', () => {
    const top = layersOf('dm-1', sysfsTree([DISK, PARTITION, crypt(NONE), volume(NONE)]));
    const culprit = firstDropping(top);
    expect(culprit).toMatchObject({ name: 'dm-0', kind: 'dm-crypt' });
    expect(dropReason(culprit ?? top)).toMatchObject({
      what: 'dm-crypt luks-home was opened without allow_discards',
      fix: expect.stringContaining('cryptsetup refresh --allow-discards --persistent luks-home'),
    });
  });

  it('loses them in the volume when only that drops them', () => {
    const top = layersOf('dm-1', sysfsTree([DISK, PARTITION, crypt(TAKES), volume(NONE)]));
    expect(firstDropping(top)?.name).toBe('dm-1');
    const { fix } = dropReason(top);
    expect(fix).toContain('lvs -a -o+seg_type,discards vgubuntu/root');
    expect(fix).toContain('issue_discards in lvm.conf has nothing to do with it');
  });
});

describe('a thin volume', () => {
  it('is told from a plain one by the pool below it', () => {
    const top = layersOf('dm-5', sysfsTree([DISK, ...thinVolume(NONE)]));
    expect(top.kind).toBe('lvm-thin');
    expect(firstDropping(top)?.name).toBe('dm-5');
    expect(dropReason(top).fix).toContain('lvchange --discards passdown pve/data,');
    expect(describeLayers(top)).toContain('lvm pve-data-tpool (dm-4) → [lvm');
  });
});

describe('md', () => {
  it('of level 5 drops discards until its module is told that they are safe', () => {
    const top = layersOf('md0', sysfsTree([DISK, SECOND_DISK, array('raid5', NONE)]));
    expect(top.below.map(({ name }) => name)).toEqual(['sda', 'sdb']);
    expect(firstDropping(top)?.name).toBe('md0');
    expect(dropReason(top)).toMatchObject({
      what: 'raid5 md0 does not pass discards on',
      fix: expect.stringContaining('devices_handle_discard_safely=Y'),
    });
  });

  it('of level 1 drops them with a member that takes none', () => {
    const without = { ...SECOND_DISK, discards: NONE };
    const top = layersOf('md0', sysfsTree([DISK, without, array('raid1', NONE)]));
    expect(firstDropping(top)?.name).toBe('sdb');
  });
});

describe('a disk', () => {
  it('behind a USB bridge that hides discards is named with the mode to set', () => {
    const top = layersOf('sdb', sysfsTree([USB]));
    expect(top.provisioningMode).toBe('full');
    expect(dropReason(top).what).toBe(
      'the USB bridge of the disk sdb says that it is fully provisioned',
    );
    expect(dropReason(top).fix).toContain('echo unmap > ');
  });

  it('of a hypervisor is told to ask its host, and not taken for one that rotates', () => {
    const top = layersOf('vda', sysfsTree([virtio(NONE)]));
    expect(top).toMatchObject({ isVirtual: true, isRotational: true, kind: 'disk' });
    expect(dropReason(top).fix).toContain("discard='unmap'");
    expect(firstDropping(layersOf('vda', sysfsTree([virtio()])))).toBe(null);
    expect(layersOf('sda', sysfsTree([DISK])).isVirtual).toBe(false);
  });

  it('whose limit somebody has set to 0 is told from one that takes none', () => {
    const top = layersOf('sda', sysfsTree([{ ...DISK, discards: [0, 1_073_741_824] }]));
    expect(dropReason(top).what).toContain('its queue limit was set to 0');
    expect(dropReason(top).fix).toContain('echo 1073741824 > /sys/block/sda/queue');
  });

  it('that is not there has no layers, and a loop of devices ends', () => {
    expect(readLayers('sdz', sysfsTree([DISK]))).toBe(null);
  });
});

describe('a loop device', () => {
  it('names its file, and the file system of that when it cannot punch holes', () => {
    const top = layersOf('loop1', sysfsTree([loop(NONE)]));
    expect(top).toMatchObject({ kind: 'loop', backingPath: '/srv/image' });
    expect(dropReason(top).what).toContain('the file system that holds /srv/image');
  });
});
