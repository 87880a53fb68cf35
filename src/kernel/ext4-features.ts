/** The features of ext4 that decide whether files can be moved, from its superblock. */

import { closeSync, openSync } from 'node:fs';
import type { Ext4Features } from '../domain/findings.js';
import { readUpTo } from './file-io.js';

/** Source: Documentation/filesystems/ext4/super.rst. */
const SUPERBLOCK_AT_BYTES = 1024;
const SUPERBLOCK_BYTES = 1024;
const MAGIC_AT = 0x38;
const MAGIC = 0xef53;
const INCOMPAT_AT = 0x60;
const RO_COMPAT_AT = 0x64;
const EXTENTS = 0x40;
const ENCRYPT = 0x10000;
const BIGALLOC = 0x200;
const VERITY = 0x8000;

/** @returns null when the device cannot be read, or holds no ext4. */
export function readExt4Features(devicePath: string): Ext4Features | null {
  let fd: number;
  try {
    fd = openSync(devicePath, 'r');
  } catch {
    return null;
  }
  try {
    const block = Buffer.alloc(SUPERBLOCK_BYTES);
    const readBytes = readUpTo({ fd, path: devicePath }, block, SUPERBLOCK_AT_BYTES);
    if (readBytes < SUPERBLOCK_BYTES || block.readUInt16LE(MAGIC_AT) !== MAGIC) return null;
    const incompat = block.readUInt32LE(INCOMPAT_AT);
    const roCompat = block.readUInt32LE(RO_COMPAT_AT);
    return {
      hasExtents: (incompat & EXTENTS) !== 0,
      hasBigalloc: (roCompat & BIGALLOC) !== 0,
      hasEncryption: (incompat & ENCRYPT) !== 0,
      hasVerity: (roCompat & VERITY) !== 0,
    };
  } catch {
    return null;
  } finally {
    closeSync(fd);
  }
}
