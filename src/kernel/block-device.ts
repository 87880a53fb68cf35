/** Block devices as the kernel names and measures them, and who uses one. */

import { existsSync, readdirSync, readFileSync, realpathSync, type Stats, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { kernelAddon } from './addon.js';
import { deviceName } from './device-number.js';
import type { OpenFile } from './kernel-call.js';
import { fromNodeError, KernelCallError } from './kernel-error.js';
import { readMounts } from './mount-info.js';

export interface DeviceGeometry {
  readonly sizeBytes: number;
  /** What the device addresses: each request is a multiple of it. */
  readonly logicalBlockBytes: number;
  /** What it writes at once, and tears at most. */
  readonly physicalBlockBytes: number;
  /** It can be opened for writing all the same; each write fails. */
  readonly isReadOnly: boolean;
}

/**
 * @throws KernelCallError ERR_UNSUPPORTED when it is no block device.
 *
 * Source: linux/fs.h (BLKGETSIZE64, BLKSSZGET, BLKPBSZGET, BLKROGET).
 */
export function deviceGeometry(file: OpenFile): DeviceGeometry {
  const reply = kernelAddon().deviceGeometry(file.fd);
  if (reply.errno !== 0) throw new KernelCallError('measure', reply.errno, file.path);
  const { logicalBlockBytes, physicalBlockBytes } = reply;
  return {
    sizeBytes: Number(reply.sizeBytes),
    logicalBlockBytes,
    physicalBlockBytes,
    isReadOnly: reply.isReadOnly === 1,
  };
}

export function isBlockDevice(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isBlockDevice() ?? false;
}

/** @throws KernelCallError ERR_TARGET_NOT_FOUND when there is no such path. */
export function deviceNumberOf(path: string): number {
  try {
    return statSync(path).rdev;
  } catch (cause) {
    throw fromNodeError('find', cause, path);
  }
}

/**
 * @param deviceNumber `st_rdev` of a block device.
 * @returns the name of the device in sysfs, or null when it is gone: an open descriptor outlives it.
 */
export function sysfsNameOf(deviceNumber: number): string | null {
  try {
    return basename(realpathSync(`/sys/dev/block/${deviceName(deviceNumber)}`));
  } catch {
    return null;
  }
}

/** An open descriptor outlives a device that was pulled out. @param file of whatever kind. */
export function isAttached(file: Stats): boolean {
  return !file.isBlockDevice() || sysfsNameOf(file.rdev) !== null;
}

/** Paths of all block devices that have a size, disks and partitions. */
export function blockDevicePaths(): string[] {
  return namesIn('/sys/class/block').flatMap((name) => {
    if (Number(readOrNull(join('/sys/class/block', name, 'size')) ?? 0) === 0) return [];
    const path = `/dev/${name.replaceAll('!', '/')}`;
    return existsSync(path) ? [path] : [];
  });
}

/**
 * Says who uses a device, as far as the kernel tells: mounts and swap, on it, on its partitions and on
 * the disk that it is a partition of, and devices that are made of it (LVM, md, dm-crypt).
 *
 * @param name as sysfs has it.
 * @returns one phrase for each use, such as `mounted on /srv`; empty when nobody is known.
 */
export function deviceUsers(name: string): string[] {
  const own = usesOf(name);
  const partitions = partitionsOf(name).flatMap((part) =>
    usesOf(part).map((use) => `its partition ${part} is ${use}`),
  );
  const whole = wholeDiskOf(name);
  const parent = whole === null ? [] : usesOf(whole).map((use) => `its disk ${whole} is ${use}`);
  return [...own, ...partitions, ...parent];
}

function usesOf(name: string): string[] {
  const number = readOrNull(join('/sys/class/block', name, 'dev'));
  const mounts = readMounts()
    .filter((mount) => `${mount.deviceMajor}:${mount.deviceMinor}` === number)
    .map((mount) => `mounted on ${mount.mountPath}`);
  const swaps = (readOrNull('/proc/swaps') ?? '')
    .split('\n')
    .some((line) => line.startsWith(`/dev/${name.replaceAll('!', '/')} `));
  const holders = namesIn(join('/sys/class/block', name, 'holders'));
  return [
    ...mounts,
    ...(swaps ? ['in use as swap'] : []),
    ...holders.map((holder) => `part of ${holder}`),
  ];
}

function partitionsOf(name: string): string[] {
  const directory = join('/sys/class/block', name);
  return namesIn(directory).filter((part) => existsSync(join(directory, part, 'partition')));
}

/** @returns null for what is no partition. */
function wholeDiskOf(name: string): string | null {
  const directory = join('/sys/class/block', name);
  if (!existsSync(join(directory, 'partition'))) return null;
  return basename(dirname(realpathSync(directory)));
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch {
    return [];
  }
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'latin1').trim();
  } catch {
    return null;
  }
}
