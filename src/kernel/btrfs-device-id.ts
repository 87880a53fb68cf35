/**
 * The number by which the chunks of a Btrfs name one of its devices.
 *
 * Read from the superblock of the device: it never changes, and sysfs does not say which is whose.
 *
 * Source: linux/btrfs_tree.h, struct btrfs_super_block: dev_item at 0xc9, its devid first.
 */

import { closeSync, openSync, readSync } from 'node:fs';

const SUPERBLOCK_AT_BYTES = 64 * 1024;
const MAGIC_AT = 0x40;
const DEVICE_ID_AT = 0xc9;

/** @returns null when the device cannot be read, or belongs to no Btrfs. */
export function btrfsDeviceId(devicePath: string): number | null {
  const head = Buffer.alloc(DEVICE_ID_AT + 8);
  try {
    const fd = openSync(devicePath, 'r');
    try {
      readSync(fd, head, 0, head.length, SUPERBLOCK_AT_BYTES);
    } finally {
      closeSync(fd);
    }
  } catch {
    return null;
  }
  const isBtrfs = head.toString('latin1', MAGIC_AT, MAGIC_AT + 8) === '_BHRfS_M';
  return isBtrfs ? Number(head.readBigUInt64LE(DEVICE_ID_AT)) : null;
}
