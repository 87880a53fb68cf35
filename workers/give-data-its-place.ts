/**
 * Before a mount is counted: what waits in memory lies nowhere yet, and what was freed a moment ago is
 * neither free nor in use before the journal has recorded that (ext4).
 */

import { closeSync, openSync } from 'node:fs';
import { MaintenanceError } from '../src/domain/errors.js';
import { fromNodeError } from '../src/kernel/kernel-error.js';
import { syncFileSystem } from '../src/kernel/sync-file-system.js';

/** @throws MaintenanceError when the mount cannot be opened. */
export function giveDataItsPlace(mountPath: string): void {
  let fd: number;
  try {
    fd = openSync(mountPath, 'r');
  } catch (cause) {
    throw fromNodeError('open', cause, mountPath);
  }
  try {
    syncFileSystem({ fd, path: mountPath });
  } catch (cause) {
    // A device that loses writes is not for the analysis to judge: it reads what there is.
    if (!(cause instanceof MaintenanceError)) throw cause;
  } finally {
    closeSync(fd);
  }
}
