/**
 * The superblock: which disk of which pool this is, and where its journal begins.
 *
 * Two slots are written in turn and the valid one with the higher sequence counts, so a write that
 * is cut off leaves the other. A device has the same two slots once more behind its capacity, since
 * its beginning is what others overwrite by mistake. On disk, little-endian:
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
  readonly members: readonly SuperblockMember[];
  /** Absent for a directory. */
  readonly kind?: 'device';
}

export interface SuperblockMember {
  readonly uuid: string;
  readonly path: string;
  readonly kind?: 'device';
}

/**
 * @returns how many bytes were written.
 * @throws MaintenanceError ERR_KERNEL and kin when the disk cannot be written.
 */
export function writeSuperblock(file: OpenFile, superblock: Superblock): number {
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
  const slotAt = superblock.sequence % 2 === 0 ? evenAt : oddAt;
  writeFully(file, slot, slotAt);
  // Before the one flush: what a power cut leaves of both is in this slot, the other one is whole.
  const hasCopy = superblock.kind === 'device';
  if (hasCopy) writeFully(file, slot, superblock.capacityBytes + slotAt);
  syncData(file);
  return slot.length * (hasCopy ? 2 : 1);
}

/** Makes the disk one that nobody recognises any more. */
export function eraseSuperblocks(file: OpenFile, baseBytes: readonly number[]): void {
  const zeros = Buffer.alloc(BLOCK_BYTES);
  for (const base of baseBytes) {
    for (const slotAt of SUPERBLOCK_SLOTS_BYTES) writeFully(file, zeros, base + slotAt);
  }
  syncData(file);
}

/**
 * @param copyBytes where else two slots are: a device's capacity.
 * @returns the newest valid superblock, or null when no slot holds one.
 * @throws MaintenanceError ERR_NEWER_VERSION when a later dynamicfs wrote it; ERR_KERNEL when no slot
 *   is valid and one cannot be read.
 */
export function readSuperblock(file: OpenFile, copyBytes?: number): Superblock | null {
  const found: Superblock[] = [];
  let failure: unknown = null;
  for (const slotAt of slotsOf(copyBytes)) {
    try {
      const slot = readSlot(file, slotAt);
      if (slot) found.push(slot);
    } catch (cause) {
      if (cause instanceof MaintenanceError && cause.code === 'ERR_NEWER_VERSION') throw cause;
      // A bad sector costs one slot, not the disk.
      failure ??= cause;
    }
  }
  if (found.length === 0 && failure !== null) throw failure;
  return found.sort((a, b) => b.sequence - a.sequence)[0] ?? null;
}

/**
 * Whether a slot holds something that is no superblock: it was written, and has changed since.
 *
 * @param copyBytes as for `readSuperblock`.
 */
export function hasDamagedSlot(file: OpenFile, copyBytes?: number): boolean {
  return slotsOf(copyBytes).some((at) => {
    const prefix = Buffer.alloc(PREFIX_BYTES);
    readUpTo(file, prefix, at);
    return prefix.some((byte) => byte !== 0) && readSlot(file, at) === null;
  });
}

function slotsOf(copyBytes?: number): number[] {
  const bases = copyBytes === undefined ? [0] : [0, copyBytes];
  return bases.flatMap((base) => SUPERBLOCK_SLOTS_BYTES.map((at) => base + at));
}

function readSlot(file: OpenFile, atBytes: number): Superblock | null {
  let slot = Buffer.alloc(BLOCK_BYTES);
  const firstBytes = readUpTo(file, slot, atBytes);
  if (firstBytes < PREFIX_BYTES || slot.toString('latin1', 0, MAGIC.length) !== MAGIC) return null;
  const bodyBytes = slot.readUInt32LE(12);
  if (bodyBytes > SUPERBLOCK_BYTES_MAX - PREFIX_BYTES) return null;
  // Nearly always one block is all; the sizes of pools with thousands of disks differ.
  if (PREFIX_BYTES + bodyBytes > BLOCK_BYTES) slot = Buffer.alloc(PREFIX_BYTES + bodyBytes);
  const readBytes = slot.length > BLOCK_BYTES ? readUpTo(file, slot, atBytes) : firstBytes;
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
