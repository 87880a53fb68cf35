/** Opens a mount by its path, and makes sure that it is still the same one. */

import { closeSync, constants, openSync } from 'node:fs';
import { MaintenanceError } from '../src/domain/errors.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { fromNodeError } from '../src/kernel/kernel-error.js';
import { mountIdOfOpen } from '../src/kernel/mount-info.js';

export interface MountedDirectory extends Disposable {
  readonly file: OpenFile;
}

/**
 * While it is open the file system cannot be unmounted, except lazily.
 *
 * @throws MaintenanceError ERR_TARGET_NOT_FOUND when another file system is found at the path.
 */
export function openMount(mountPath: string, mountId: number): MountedDirectory {
  let fd: number;
  try {
    fd = openSync(mountPath, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (cause) {
    throw fromNodeError('open', cause, mountPath);
  }
  if (mountIdOfOpen(fd) !== mountId) {
    closeSync(fd);
    throw new MaintenanceError('ERR_TARGET_NOT_FOUND', `${mountPath} was unmounted`, {
      nextStep: 'Mount the file system again; the next run goes on from there.',
    });
  }
  return { file: { fd, path: mountPath }, [Symbol.dispose]: () => closeSync(fd) };
}
