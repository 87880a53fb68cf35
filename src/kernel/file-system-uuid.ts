/**
 * The UUID of a mounted file system, by which it is recognised when it is mounted again.
 *
 * Read from its superblock: the ioctl for it (FS_IOC_GETFSUUID) is younger than the kernels that this
 * runs on, and /dev/disk/by-uuid is missing in containers and stale after mkfs. It serves users who
 * may not read the device.
 *
 * Source: Documentation/filesystems/ext4/super.rst (s_uuid at 0x68 of the block at 1024);
 * fs/xfs/libxfs/xfs_format.h (sb_uuid at 32); fs/btrfs (fsid at 0x20 of the block at 64 KiB).
 */

import { closeSync, openSync, readdirSync, readSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import type { DetectedMount } from '../domain/mounts.js';

const UUID_AT_BYTES = { ext4: 1024 + 0x68, xfs: 32, btrfs: 64 * 1024 + 0x20 } as const;
const BY_UUID = '/dev/disk/by-uuid';

/** @returns null where nothing tells it to this user. */
export function fileSystemUuid({ fsType, devices, sysfsName }: DetectedMount): string | null {
  if (fsType === 'other') return null;
  if (fsType === 'btrfs' && sysfsName !== null) return sysfsName;
  const [device] = devices;
  if (!device) return null;
  return readUuid(device.path, UUID_AT_BYTES[fsType]) ?? uuidByLink(device.path);
}

function readUuid(path: string, atBytes: number): string | null {
  const bytes = Buffer.alloc(16);
  try {
    const fd = openSync(path, 'r');
    try {
      if (readSync(fd, bytes, 0, bytes.length, atBytes) < bytes.length) return null;
    } finally {
      closeSync(fd);
    }
  } catch {
    return null;
  }
  const hex = bytes.toString('hex');
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join('-');
}

function uuidByLink(devicePath: string): string | null {
  try {
    return (
      readdirSync(BY_UUID).find((uuid) => realpathSync(join(BY_UUID, uuid)) === devicePath) ?? null
    );
  } catch {
    return null;
  }
}
