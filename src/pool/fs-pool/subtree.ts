/** What `--path` names, as a path below the mount that cannot lead out of it. */

import { realpathSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { MaintenanceError } from '../../domain/errors.js';
import { fromNodeError } from '../../kernel/kernel-error.js';
import { mountOf } from '../../kernel/mount-info.js';
import type { FsMount } from './detect.js';

/**
 * Links are followed here, once, and the scan follows none: what is put in their place later leads
 * nowhere.
 *
 * @param path absolute, or below the mount.
 * @returns null for the mount as a whole.
 * @throws MaintenanceError ERR_TARGET_NOT_FOUND, ERR_USAGE when it lies elsewhere or on another mount.
 */
export function subtreeOf(mount: FsMount, path: string): string | null {
  const asked = resolve(mount.path, path);
  let real: string;
  try {
    real = realpathSync(asked);
  } catch (cause) {
    throw fromNodeError('find', cause, asked);
  }
  const below = relative(mount.path, real);
  const isBelow = below !== '..' && !below.startsWith('../');
  if (!isBelow || mountOf(real).mountId !== mount.entry.mountId) {
    throw new MaintenanceError('ERR_USAGE', `${asked} is not in the file system on ${mount.path}`, {
      nextStep: `Name a file or directory of ${mount.path}, absolute or from there.`,
    });
  }
  return below === '' ? null : below;
}
