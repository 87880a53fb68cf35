/** Opens the backing file of a directory and makes sure that it is the disk which the catalogue means. */

import { constants, fstatSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { asMaintenanceError, type ErrorCode, MaintenanceError } from '../../domain/errors.js';
import { isAttached } from '../../kernel/block-device.js';
import type { BoundedIo } from '../../kernel/bounded-io.js';
import { closeFile } from '../../kernel/file-io.js';
import type { OpenFile } from '../../kernel/kernel-call.js';
import { fromNodeError } from '../../kernel/kernel-error.js';
import type { DiskRow } from '../../store/disks.js';
import type { SharedClaim } from './disk-claims.js';
import { BACKING_FILE } from './layout.js';
import { readSuperblock, type Superblock } from './superblock.js';

/** `held` is a device that somebody outside of this pool has claimed. */
export type DiskCondition = 'online' | 'read-only' | 'missing' | 'mismatch' | 'held';

/** A disk as it is found now, beside what the catalogue says of it. */
export interface DiskState {
  readonly condition: DiskCondition;
  /** Open while the condition is `online` or `read-only`. */
  readonly file: OpenFile | null;
  readonly superblock: Superblock | null;
  readonly error: MaintenanceError | null;
  /** Of a device that is open for writing. */
  readonly claim?: SharedClaim;
  /** Why it is not used although it is there: it answers no call, or may be written to late. */
  readonly silence?: string;
}

/** Of whom a disk is. */
export interface PoolPlace {
  readonly poolId: string;
  readonly path: string;
  /** For all that is read and written through what is opened. */
  readonly io: BoundedIo | null;
}

/** Closes what is open of a disk and lets go of its device. */
export function closeDisk({ file, claim }: DiskState): void {
  if (file) closeFile(file);
  // Nobody else shall have a device to which something may still be written.
  if (file?.io) file.io.whenIdle(() => claim?.release());
  else claim?.release();
}

export function backingPath(diskPath: string): string {
  return join(diskPath, BACKING_FILE);
}

/** Opens the backing file of a directory. Never throws for a disk that is away or foreign: that is a condition. */
export function openDisk(disk: DiskRow, pool: PoolPlace, writable: boolean): DiskState {
  const path = backingPath(disk.path);
  let file: OpenFile | null = null;
  try {
    const opened = openBackingFile(path, writable);
    file = withIo(opened.file, pool.io);
    const superblock = readSuperblock(file);
    const problem = identityProblem(disk, pool.poolId, path, superblock);
    if (problem) {
      closeFile(file);
      return { condition: 'mismatch', file: null, superblock, error: problem };
    }
    return { condition: opened.readonly ? 'read-only' : 'online', file, superblock, error: null };
  } catch (cause) {
    if (file) closeFile(file);
    return unusable(disk, cause);
  }
}

/** @throws MaintenanceError ERR_DISK_UNAVAILABLE or ERR_DISK_MISMATCH when it cannot be written. */
export function writableFile({ path }: DiskRow, { file, error, condition }: DiskState): OpenFile {
  if (file && condition === 'online') return file;
  throw (
    error ??
    new MaintenanceError('ERR_DISK_UNAVAILABLE', `disk ${path} is read-only`, {
      nextStep: `Remount ${path} for writing, then repeat the command.`,
    })
  );
}

/** Whether the path of an open disk still leads to it. */
export function isStillAtItsPath({ fd, path }: OpenFile): boolean {
  const now = statSync(path, { throwIfNoEntry: false });
  const then = fstatSync(fd);
  return now?.ino === then.ino && now.dev === then.dev && isAttached(then);
}

export function withIo(file: OpenFile, io: BoundedIo | null): OpenFile {
  return io ? { ...file, io } : file;
}

/** What is told of a disk that cannot be opened, or is not what it shall be. */
export function unusable(disk: DiskRow, cause: unknown): DiskState {
  const known = cause instanceof MaintenanceError ? CONDITION_OF.get(cause.code) : undefined;
  if (known) {
    const error = asMaintenanceError(cause);
    return { condition: known, file: null, superblock: null, error };
  }
  const error = new MaintenanceError(
    'ERR_DISK_UNAVAILABLE',
    `disk ${disk.path} cannot be opened: ${asMaintenanceError(cause).message}`,
    { cause, nextStep: `Mount or attach ${disk.path} again, then repeat the command.` },
  );
  return { condition: 'missing', file: null, superblock: null, error };
}

const CONDITION_OF: ReadonlyMap<ErrorCode, DiskCondition> = new Map<ErrorCode, DiskCondition>([
  ['ERR_NEWER_VERSION', 'mismatch'],
  ['ERR_DISK_MISMATCH', 'mismatch'],
  ['ERR_DEVICE_HELD', 'held'],
]);

/** Falls back to read-only where the disk allows no more, so that its data can still be read. */
function openBackingFile(path: string, writable: boolean): { file: OpenFile; readonly: boolean } {
  if (writable) {
    try {
      return { file: { fd: openSync(path, constants.O_RDWR), path }, readonly: false };
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code;
      if (code !== 'EROFS' && code !== 'EACCES' && code !== 'EPERM') {
        throw fromNodeError('open', cause, path);
      }
    }
  }
  try {
    return { file: { fd: openSync(path, constants.O_RDONLY), path }, readonly: writable };
  } catch (cause) {
    throw fromNodeError('open', cause, path);
  }
}

export function identityProblem(
  disk: Pick<DiskRow, 'uuid'>,
  poolId: string,
  path: string,
  superblock: Superblock | null,
): MaintenanceError | null {
  const problem = (what: string, nextStep: string) =>
    new MaintenanceError('ERR_DISK_MISMATCH', `${path} ${what}`, {
      nextStep,
      details: { expectedUuid: disk.uuid, foundUuid: superblock?.diskUuid ?? null },
    });
  if (!superblock) {
    return problem(
      'carries no valid dynamicfs superblock',
      'Restore the file, or remove the disk.',
    );
  }
  if (superblock.poolId !== poolId) {
    return problem(`belongs to pool ${superblock.poolId}, not ${poolId}`, 'Attach the right disk.');
  }
  if (superblock.diskUuid !== disk.uuid) {
    return problem(
      `is disk ${superblock.diskUuid}; this place belongs to disk ${disk.uuid}`,
      'Disks were swapped: put each back at its path.',
    );
  }
  return null;
}
