/**
 * Opens a raw block device and makes sure that it is the disk which the catalogue means.
 *
 * Devices get their names in the order in which they are found. So a name is where the search begins,
 * and the UUID in the superblock is what counts.
 */

import { constants, openSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { MaintenanceError } from '../../domain/errors.js';
import { formatBytes, roundDown } from '../../domain/units.js';
import {
  blockDevicePaths,
  type DeviceGeometry,
  deviceGeometry,
  deviceNumberOf,
  deviceUsers,
  isBlockDevice,
  sysfsNameOf,
} from '../../kernel/block-device.js';
import { notAnswering } from '../../kernel/bounded-io.js';
import { findSignature } from '../../kernel/device-signature.js';
import { discardLimits } from '../../kernel/discard-limits.js';
import { closeFile } from '../../kernel/file-io.js';
import type { OpenFile } from '../../kernel/kernel-call.js';
import { fromNodeError } from '../../kernel/kernel-error.js';
import { diskAnswers } from '../../kernel/probe-disk.js';
import type { DiskRow } from '../../store/disks.js';
import { type DiskState, identityProblem, type PoolPlace, unusable, withIo } from './data-file.js';
import { diskTimeoutMs } from './disk-calls.js';
import { claimDisk } from './disk-claims.js';
import { BLOCK_BYTES, HEADER_BYTES } from './layout.js';
import { patientFile } from './patient-file.js';
import { readSuperblock, type Superblock } from './superblock.js';

/** Never throws for a device that is away, foreign or held: that is a condition, told in the result. */
export function openDevice(disk: DiskRow, pool: PoolPlace, writable: boolean): DiskState {
  try {
    const path = locate(disk, pool);
    if (!writable) return openReadOnly(disk, pool, path, 'online');
    return isReadOnly(path)
      ? openReadOnly(disk, pool, path, 'read-only')
      : openClaimed(disk, pool, path);
  } catch (cause) {
    return unusable(disk, cause);
  }
}

function openClaimed(disk: DiskRow, pool: PoolPlace, path: string): DiskState {
  let claim: ReturnType<typeof claimDisk>;
  try {
    claim = claimDisk(pool.path, disk.uuid, path);
  } catch (cause) {
    // Not ours to write, or to share: it can be read all the same.
    if (!(cause instanceof MaintenanceError) || cause.code !== 'ERR_PERMISSION') throw cause;
    return openReadOnly(disk, pool, path, 'read-only');
  }
  let file: OpenFile | null = null;
  try {
    file = withIo(open(path, constants.O_RDWR), pool.io);
    // Again, now that nobody else can write to it any more.
    const superblock = verifyDevice(file, disk, pool.poolId);
    return { condition: 'online', file, superblock, error: null, claim };
  } catch (cause) {
    if (file) closeFile(file);
    claim.release();
    throw cause;
  }
}

function openReadOnly(
  disk: DiskRow,
  { poolId, io }: PoolPlace,
  path: string,
  condition: 'online' | 'read-only',
): DiskState {
  const file = withIo(open(path, constants.O_RDONLY), io);
  try {
    return { condition, file, superblock: verifyDevice(file, disk, poolId), error: null };
  } catch (cause) {
    closeFile(file);
    throw cause;
  }
}

/** @returns the path of the device now. @throws MaintenanceError what is wrong with the one it had. */
function locate(disk: DiskRow, pool: PoolPlace): string {
  try {
    verifyPath(disk.path, disk, pool);
    return disk.path;
  } catch (cause) {
    // It is there; to look at every other device for it would be in vain.
    if (pool.io?.isAnswering === false) throw cause;
    const elsewhere = findDeviceByUuid(disk.uuid, disk.path);
    if (elsewhere === null) throw cause;
    return elsewhere;
  }
}

function verifyPath(path: string, disk: DiskRow, { poolId, io }: PoolPlace): void {
  const file = withIo(open(path, constants.O_RDONLY), io);
  try {
    verifyDevice(file, disk, poolId);
  } finally {
    closeFile(file);
  }
}

/**
 * Reads both copies of the superblock and compares them with what the catalogue knows. A device that
 * grew is taken as it was.
 *
 * @throws MaintenanceError ERR_DISK_MISMATCH, ERR_NEWER_VERSION.
 */
export function verifyDevice(
  file: OpenFile,
  disk: Pick<DiskRow, 'uuid' | 'capacityBytes'>,
  poolId: string,
): Superblock {
  const { sizeBytes } = deviceGeometry(file);
  // The name of a loop device outlives its file, that of a card reader its card.
  if (sizeBytes === 0) throw unavailable(`${file.path} has no medium`);
  const superblock = readSuperblock(file, disk.capacityBytes);
  const problem = identityProblem(disk, poolId, file.path, superblock);
  if (problem || !superblock) throw problem;
  const neededBytes = disk.capacityBytes + HEADER_BYTES;
  if (sizeBytes < neededBytes) {
    throw new MaintenanceError(
      'ERR_DISK_MISMATCH',
      `${file.path} shrank: disk ${disk.uuid} needs ${formatBytes(neededBytes)} and it has ${formatBytes(sizeBytes)}`,
      {
        nextStep: 'Give it its size back; the pool does not touch it until then.',
        details: { neededBytes, sizeBytes },
      },
    );
  }
  if (!readSuperblock(file)) refuseOverwritten(file.path);
  return superblock;
}

/**
 * Only the copy at the end is left. Damage is repaired when the superblock is written next; but where
 * somebody made a file system since, it is theirs.
 */
function refuseOverwritten(path: string): void {
  const signature = findSignature(path);
  if (signature === null) return;
  throw new MaintenanceError(
    'ERR_DISK_MISMATCH',
    `${path} was overwritten: it has a ${signature}`,
    {
      nextStep: 'If that was a mistake, wipe the signature (wipefs) and repeat the command.',
    },
  );
}

/**
 * Looks at all devices that nobody has mounted.
 *
 * @param exceptPath was looked at already.
 * @returns null when no device is that disk.
 */
export function findDeviceByUuid(uuid: string, exceptPath: string): string | null {
  for (const path of blockDevicePaths()) {
    if (path === exceptPath || deviceUsers(basename(path)).length > 0) continue;
    try {
      if (readDeviceSuperblock(path)?.diskUuid === uuid) return path;
    } catch {
      // Not readable, or of a later version: not the one that was written by this one.
    }
  }
  return null;
}

/** For those who do not know the capacity: the copy is where the device ended when it was added. */
export function readDeviceSuperblock(path: string): Superblock | null {
  if (!diskAnswers(path, diskTimeoutMs())) throw notAnswering(path);
  using device = patientFile(open(path, constants.O_RDONLY));
  return readSuperblock(device.file, capacityOf(deviceGeometry(device.file)));
}

/** What lies between the beginning and the copy of the superblock; a partial tail is left unused. */
export function capacityOf({ sizeBytes, physicalBlockBytes }: DeviceGeometry): number {
  const stepBytes = Math.max(BLOCK_BYTES, physicalBlockBytes);
  return Math.max(0, roundDown(sizeBytes, stepBytes) - HEADER_BYTES);
}

export interface DeviceDiscard {
  /** As sysfs names the device. */
  readonly name: string;
  /** At least a block. */
  readonly granularityBytes: number;
  /** Where the first granule of the device begins. */
  readonly alignmentBytes: number;
  /** Of one request, whole granules; 0 when it cannot discard. */
  readonly maxBytes: number;
}

/** Now, since another controller may be between us and the device than yesterday. */
export function deviceDiscard(path: string): DeviceDiscard {
  const name = sysfsNameOf(deviceNumberOf(path)) ?? basename(path);
  const { granularityBytes: given, maxBytes } = discardLimits(name);
  const granularityBytes = Math.max(BLOCK_BYTES, given);
  return {
    name,
    granularityBytes,
    alignmentBytes: readNumber(`/sys/class/block/${name}/discard_alignment`) % granularityBytes,
    maxBytes: given === 0 ? 0 : roundDown(maxBytes, granularityBytes),
  };
}

function readNumber(path: string): number {
  try {
    return Number(readFileSync(path, 'latin1')) || 0;
  } catch {
    return 0;
  }
}

function isReadOnly(path: string): boolean {
  const file = open(path, constants.O_RDONLY);
  try {
    return deviceGeometry(file).isReadOnly;
  } finally {
    closeFile(file);
  }
}

function unavailable(message: string): MaintenanceError {
  return new MaintenanceError('ERR_DISK_UNAVAILABLE', message, {
    nextStep: 'Attach the device, then repeat the command.',
  });
}

function open(path: string, flags: number): OpenFile {
  if (!isBlockDevice(path)) throw unavailable(`there is no device ${path}`);
  try {
    return { fd: openSync(path, flags), path };
  } catch (cause) {
    throw fromNodeError('open', cause, path);
  }
}
