/**
 * The superblock: which disk of which pool this is, and where its journal begins.
 *
 * Two slots are written in turn and the valid one with the higher sequence counts, so a write that
 * is cut off leaves the other. On disk, little-endian:
 *   0  magic "DYNFSDSK"   8  u32 version   12  u32 body length   16  u32 CRC32C of version, length
 *   and body   20  body, JSON
 */

import { crc32c } from '@node-rs/crc32';
import { InvariantError, MaintenanceError } from '../../domain/errors.js';
import type { Tier } from '../../domain/heat.js';
import type { ByteRun } from '../../domain/units.js';
import { readUpTo, syncData, writeFully } from '../../kernel/file-io.js';
import type { OpenFile } from '../../kernel/kernel-call.js';
import {
  BLOCK_BYTES,
  DISK_FORMAT_VERSION,
  SUPERBLOCK_BYTES_MAX,
  SUPERBLOCK_SLOTS_BYTES,
} from './layout.js';

const MAGIC = 'DYNFSDSK';
const PREFIX_BYTES = 20;

export interface Superblock {
  readonly sequence: number;
  readonly poolId: string;
  readonly diskUuid: string;
  readonly capacityBytes: number;
  readonly tier: Tier;
  readonly extentBytes: number;
  readonly replicaCount: number;
  readonly journal: ByteRun;
  readonly journalEpoch: number;
  /** All disks of the pool as of the last change, so that `recover` finds them from any one. */
  readonly members: readonly { readonly uuid: string; readonly path: string }[];
}

/** @throws MaintenanceError ERR_KERNEL and kin when the disk cannot be written. */
export function writeSuperblock(file: OpenFile, superblock: Superblock): void {
  const body = Buffer.from(JSON.stringify(superblock));
  const slotBytes = Math.ceil((PREFIX_BYTES + body.length) / BLOCK_BYTES) * BLOCK_BYTES;
  if (slotBytes > SUPERBLOCK_BYTES_MAX) throw new InvariantError('superblock outgrew its slot');
  const slot = Buffer.alloc(slotBytes);
  slot.write(MAGIC, 0, 'latin1');
  slot.writeUInt32LE(DISK_FORMAT_VERSION, 8);
  slot.writeUInt32LE(body.length, 12);
  body.copy(slot, PREFIX_BYTES);
  slot.writeUInt32LE(checksum(slot, body.length), 16);
  const [evenAt, oddAt] = SUPERBLOCK_SLOTS_BYTES;
  writeFully(file, slot, superblock.sequence % 2 === 0 ? evenAt : oddAt);
  syncData(file);
}

/**
 * @returns the newer valid superblock, or null when neither slot holds one.
 * @throws MaintenanceError ERR_NEWER_VERSION when a later dynamicfs wrote it.
 */
export function readSuperblock(file: OpenFile): Superblock | null {
  const found = SUPERBLOCK_SLOTS_BYTES.map((at) => readSlot(file, at)).filter((s) => s !== null);
  return found.sort((a, b) => b.sequence - a.sequence)[0] ?? null;
}

/** Whether a slot holds something that is no superblock: it was written, and has changed since. */
export function hasDamagedSlot(file: OpenFile): boolean {
  return SUPERBLOCK_SLOTS_BYTES.some((at) => {
    const prefix = Buffer.alloc(PREFIX_BYTES);
    readUpTo(file, prefix, at);
    return prefix.some((byte) => byte !== 0) && readSlot(file, at) === null;
  });
}

function readSlot(file: OpenFile, atBytes: number): Superblock | null {
  const slot = Buffer.alloc(SUPERBLOCK_BYTES_MAX);
  const readBytes = readUpTo(file, slot, atBytes);
  if (readBytes < PREFIX_BYTES || slot.toString('latin1', 0, MAGIC.length) !== MAGIC) return null;
  const bodyBytes = slot.readUInt32LE(12);
  if (PREFIX_BYTES + bodyBytes > readBytes) return null;
  if (slot.readUInt32LE(16) !== checksum(slot, bodyBytes)) return null;
  const version = slot.readUInt32LE(8);
  if (version > DISK_FORMAT_VERSION) throw newerVersion(file.path, version);
  return JSON.parse(slot.toString('utf8', PREFIX_BYTES, PREFIX_BYTES + bodyBytes));
}

function checksum(slot: Buffer, bodyBytes: number): number {
  const prefix = crc32c(slot.subarray(8, 16));
  return crc32c(slot.subarray(PREFIX_BYTES, PREFIX_BYTES + bodyBytes), prefix);
}

function newerVersion(path: string, version: number): MaintenanceError {
  return new MaintenanceError(
    'ERR_NEWER_VERSION',
    `${path} has disk format ${version}; this dynamicfs knows up to ${DISK_FORMAT_VERSION}`,
    { nextStep: 'Upgrade dynamicfs to the version that made this disk, or newer.' },
  );
}
