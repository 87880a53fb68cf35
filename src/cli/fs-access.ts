/** The mount of a located file system, for commands that need it now. */

import { MaintenanceError } from '../domain/errors.js';
import type { FsMount } from '../pool/fs-pool/detect.js';
import type { LocatedFileSystem } from '../pool/fs-pool/register.js';

/** @throws MaintenanceError ERR_DISK_UNAVAILABLE while it is not mounted. */
export function mountedOf({ path, mount }: LocatedFileSystem): FsMount {
  if (mount) return mount;
  throw new MaintenanceError('ERR_DISK_UNAVAILABLE', `nothing is mounted on ${path}`, {
    nextStep: 'Mount it, then repeat the command.',
  });
}
