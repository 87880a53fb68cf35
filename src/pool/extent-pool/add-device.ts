/**
 * Makes a raw block device a disk of a pool.
 *
 * It is held exclusively before anything else is looked at, so that what is found stays true; and
 * nothing is written before all checks have passed.
 */

import { randomUUID } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { MaintenanceError } from '../../domain/errors.js';
import { formatBytes } from '../../domain/units.js';
import { deviceGeometry, isBlockDevice } from '../../kernel/block-device.js';
import { findSignature } from '../../kernel/device-signature.js';
import { syncData, writeFully } from '../../kernel/file-io.js';
import type { OpenFile } from '../../kernel/kernel-call.js';
import { fromNodeError } from '../../kernel/kernel-error.js';
import type { PoolContext } from './context.js';
import { type AddDiskOptions, blankSuperblock, insertDisk, inUse } from './create.js';
import { capacityOf, deviceDiscard, readDeviceSuperblock } from './device-disk.js';
import { claimDisk } from './disk-claims.js';
import { BLOCK_BYTES, DISK_CAPACITY_BYTES_MIN, HEADER_BYTES, reserveBytes } from './layout.js';
import { patientFile } from './patient-file.js';
import { eraseIfPossible } from './remove-disk.js';
import { tellMembers } from './snapshot.js';
import { type Superblock, writeSuperblock } from './superblock.js';

/**
 * @returns the disk's id in this pool.
 * @throws MaintenanceError ERR_USAGE, ERR_DISK_IN_USE, ERR_DEVICE_HELD, ERR_DEVICE_NOT_EMPTY,
 *   ERR_UNSUPPORTED, ERR_PERMISSION: the device is then as it was. ERR_DISK_UNAVAILABLE when it does not
 *   answer: the pool is then as it was.
 */
export function addDevice(context: PoolContext, path: string, options: AddDiskOptions): number {
  const devicePath = resolveDevice(path);
  if (options.capacityBytes !== undefined) {
    throw usage('a device is used as a whole', 'Leave --capacity out, or give it a partition.');
  }
  const found = readDeviceSuperblock(devicePath);
  refuseOwnDisk(context, devicePath, found);
  const uuid = randomUUID();
  const { claim, release } = claimDisk(context.path, uuid, devicePath);
  using device = patientFile(claim.file, release);
  const { file } = device;
  if (options.force !== true) refuseContent(devicePath, found);
  const { capacityBytes } = measure(file);
  const { extentBytes, poolId, store } = context;
  const disk = {
    uuid,
    kind: 'device' as const,
    path: devicePath,
    tier: options.tier ?? 'warm',
    capacityBytes,
    reserveBytes: reserveBytes(capacityBytes, extentBytes),
    granularityBytes: deviceDiscard(devicePath).granularityBytes,
    evacuating: false,
    journalEpoch: 0,
    journalTailBytes: 0,
    journalStale: false,
    addedAtMs: context.clock(),
  };
  prepare(file, blankSuperblock(disk, poolId, extentBytes));
  let diskId: number;
  try {
    diskId = store.transaction(() => insertDisk(context, disk));
  } catch (cause) {
    eraseIfPossible(file, disk);
    throw cause;
  }
  tellMembers(context);
  return diskId;
}

/** `/dev/disk/by-id/…` and other links lead to the name that the kernel uses. */
function resolveDevice(path: string): string {
  let devicePath: string;
  try {
    devicePath = realpathSync(path);
  } catch (cause) {
    throw fromNodeError('find', cause, path);
  }
  if (isBlockDevice(devicePath)) return devicePath;
  throw usage(`${path} is no block device`, 'For a directory, leave --device out.');
}

/** Not even by force: the pool has its data there. */
function refuseOwnDisk(context: PoolContext, path: string, found: Superblock | null): void {
  const disks = context.store.disks.all();
  if (found && disks.some((disk) => disk.uuid === found.diskUuid)) {
    throw inUse(`${path} is disk ${found.diskUuid} of this pool already`);
  }
}

function refuseContent(path: string, found: Superblock | null): void {
  const what = found
    ? `disk ${found.diskUuid} of dynamicfs pool ${found.poolId}`
    : findSignature(path);
  if (what === null) return;
  throw new MaintenanceError('ERR_DEVICE_NOT_EMPTY', `${path} carries ${article(what)}`, {
    nextStep: 'If nobody wants what is on it, add --force: it is overwritten then.',
    details: { device: path, found: what },
  });
}

function article(what: string): string {
  return /^(disk|signatures)/.test(what) ? what : `${/^[aeiou]/i.test(what) ? 'an' : 'a'} ${what}`;
}

function measure(file: OpenFile): { readonly capacityBytes: number } {
  const geometry = deviceGeometry(file);
  if (geometry.logicalBlockBytes > BLOCK_BYTES) {
    throw new MaintenanceError(
      'ERR_UNSUPPORTED',
      `${file.path} has logical blocks of ${geometry.logicalBlockBytes} bytes`,
      { nextStep: `Use a device with blocks of ${BLOCK_BYTES} bytes at most.` },
    );
  }
  if (geometry.isReadOnly) {
    throw new MaintenanceError('ERR_PERMISSION', `${file.path} is read-only`, {
      nextStep: 'See whether it has a switch, or `blockdev --setrw` helps.',
    });
  }
  const capacityBytes = capacityOf(geometry);
  if (capacityBytes >= DISK_CAPACITY_BYTES_MIN) return { capacityBytes };
  throw usage(
    `${file.path} is too small for a disk: ${formatBytes(geometry.sizeBytes)}`,
    `Use a device of at least ${formatBytes(DISK_CAPACITY_BYTES_MIN + HEADER_BYTES)}.`,
  );
}

/** Zeros first where others keep their signatures: nobody shall take it for what it was. */
function prepare(file: OpenFile, superblock: Superblock): void {
  const { capacityBytes } = superblock;
  const { sizeBytes } = deviceGeometry(file);
  writeFully(file, Buffer.alloc(HEADER_BYTES), 0);
  writeFully(file, Buffer.alloc(sizeBytes - capacityBytes), capacityBytes);
  syncData(file);
  writeSuperblock(file, superblock);
}

function usage(message: string, nextStep: string): MaintenanceError {
  return new MaintenanceError('ERR_USAGE', message, { nextStep });
}
