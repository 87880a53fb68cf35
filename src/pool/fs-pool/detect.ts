/** What is mounted at a path, and what can be done with it. */

import { closeSync, existsSync, openSync, realpathSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { MaintenanceError } from '../../domain/errors.js';
import type { DetectedMount } from '../../domain/mounts.js';
import type { MovableFileSystem, MoveMount } from '../../domain/move-tasks.js';
import { fileSystemUuid } from '../../kernel/file-system-uuid.js';
import { fromNodeError } from '../../kernel/kernel-error.js';
import { detectMount } from '../../kernel/mount-info.js';

export interface FsMount extends DetectedMount {
  readonly path: string;
  /** Null where the file system has none, or this user may not know it. */
  readonly uuid: string | null;
}

/** The path as the kernel knows it, without links; as it was given when there is nothing. */
export function kernelPath(path: string): string {
  return existsSync(path) ? realpathSync(path) : resolve(path);
}

/** @returns null when the path is no mount point. @throws MaintenanceError ERR_UNSUPPORTED. */
export function mountAt(path: string): FsMount | null {
  const real = kernelPath(path);
  if (!existsSync(real)) return null;
  const detected = detectMount(real);
  if (detected.entry.mountPath !== real) return null;
  return { ...detected, path: real, uuid: fileSystemUuid(detected) };
}

export function isMovable(mount: DetectedMount): boolean {
  return mount.fsType !== 'other';
}

/** @throws MaintenanceError ERR_UNSUPPORTED for what can be analysed at most. */
export function movableType(mount: FsMount): MovableFileSystem {
  if (mount.fsType !== 'other') return mount.fsType;
  throw new MaintenanceError(
    'ERR_UNSUPPORTED',
    `${mount.path} is ${mount.entry.typeName}, which cannot be maintained`,
    { nextStep: 'Name a mount of ext4, XFS or Btrfs; others can be analysed at most.' },
  );
}

/** What tasks that move files are told of the mount, so that they touch no other. */
export function movePlace(mount: FsMount): MoveMount {
  const fsType = movableType(mount);
  return { mountPath: mount.path, fsType, deviceNumber: statSync(mount.path).dev };
}

/** @throws MaintenanceError ERR_PERMISSION for a mount that cannot be written. */
export function assertWritable(mount: FsMount): void {
  if (!mount.isReadOnly) return;
  const state = mount.hasFailed ? 'went read-only because of an error' : 'is mounted read-only';
  throw new MaintenanceError('ERR_PERMISSION', `${mount.path} ${state}`, {
    nextStep:
      'Look into the kernel log (dmesg) for why, repair it, and mount it for writing again: the run can then be started again.',
  });
}

/**
 * Asked after something failed: was it the file system that stopped?
 *
 * XFS shows nothing of a shutdown in its options, but opens nothing any more, not even its root.
 *
 * @throws MaintenanceError ERR_PERMISSION as `assertWritable`, ERR_KERNEL after a shutdown.
 */
export function assertAlive(mount: FsMount): void {
  assertWritable(mount);
  try {
    closeSync(openSync(mount.path, 'r'));
  } catch (cause) {
    const { message } = fromNodeError('open', cause, mount.path);
    throw new MaintenanceError('ERR_KERNEL', `${mount.path} shut down after an error: ${message}`, {
      nextStep:
        'Look into the kernel log (dmesg) for why, unmount it, repair it and mount it again: the run can then be started again.',
      cause,
    });
  }
}
