/** Walks sysfs from a device down to its disks. */

import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { DeviceLayer, LayerKind } from '../domain/device-layers.js';
import { type KernelTrees, LIVE_TREES } from './mount-info.js';

const SECTOR_BYTES = 512;
/** A stack of devices is a few high; a broken tree must not keep us. */
const DEPTH_MAX = 16;

/**
 * Reads a device and all that is below it.
 *
 * @param name as sysfs has it, without `/dev/`.
 * @returns null when there is no such device.
 *
 * Source: Documentation/ABI/stable/sysfs-block, testing/sysfs-block-dm, admin-guide/md.rst.
 */
export function readLayers(name: string, trees: KernelTrees = LIVE_TREES): DeviceLayer | null {
  return readLayer(name, trees, 0);
}

function readLayer(name: string, trees: KernelTrees, depth: number): DeviceLayer | null {
  const path = realOrNull(join(trees.sysPath, 'class/block', name));
  if (path === null || depth > DEPTH_MAX) return null;
  const read = (file: string) => readOrNull(join(path, file));
  const isPartition = existsSync(join(path, 'partition'));
  // A partition has no queue of its own.
  const queuePath = join(isPartition ? dirname(path) : path, 'queue');
  const limit = (file: string) => Number(readOrNull(join(queuePath, file)) ?? 0);
  const below = isPartition ? [basename(dirname(path))] : namesIn(join(path, 'slaves'));
  const realDevice = realOrNull(join(path, 'device')) ?? '';
  return {
    name,
    kind: isPartition ? 'partition' : kindOf(path),
    label: read('dm/name') ?? name,
    sizeBytes: Number(read('size') ?? 0) * SECTOR_BYTES,
    discardMaxBytes: limit('discard_max_bytes'),
    discardMaxHardwareBytes: limit('discard_max_hw_bytes'),
    discardGranularityBytes: limit('discard_granularity'),
    isRotational: limit('rotational') === 1,
    mdLevel: read('md/level'),
    backingPath: read('loop/backing_file'),
    provisioningMode: provisioningMode(path),
    isUsb: /\/usb\d+\//.test(realDevice),
    isVirtual: isVirtual(realDevice, read('device/vendor')),
    model: read('device/model'),
    below: below.flatMap((lower) => readLayer(lower, trees, depth + 1) ?? []),
  };
}

/** Source: drivers/block/virtio_blk.c, xen-blkfront.c; QEMU names its SCSI and IDE disks by vendor. */
function isVirtual(realDevice: string, vendor: string | null): boolean {
  return /\/(virtio\d+|vbd-\d+)($|\/)/.test(realDevice) || /^(QEMU|VMware|Msft)/.test(vendor ?? '');
}

function kindOf(path: string): LayerKind {
  if (existsSync(join(path, 'md'))) return 'md';
  if (existsSync(join(path, 'loop'))) return 'loop';
  const uuid = readOrNull(join(path, 'dm/uuid'));
  if (uuid === null) return existsSync(join(path, 'dm')) ? 'device-mapper' : 'disk';
  if (uuid.startsWith('CRYPT-')) return 'dm-crypt';
  if (uuid.startsWith('mpath-')) return 'multipath';
  if (uuid.startsWith('LVM-')) return isThinVolume(path) ? 'lvm-thin' : 'lvm';
  return 'device-mapper';
}

/** A thin volume lies on its pool, which LVM names `…-tpool`. */
function isThinVolume(path: string): boolean {
  return namesIn(join(path, 'slaves')).some((lower) =>
    readOrNull(join(path, 'slaves', lower, 'dm/uuid'))?.endsWith('-tpool'),
  );
}

function provisioningMode(path: string): string | null {
  const directory = join(path, 'device/scsi_disk');
  const [address] = namesIn(directory);
  return address === undefined ? null : readOrNull(join(directory, address, 'provisioning_mode'));
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch {
    return [];
  }
}

function realOrNull(path: string): string | null {
  try {
    return realpathSync(path);
  } catch {
    return null;
  }
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}
