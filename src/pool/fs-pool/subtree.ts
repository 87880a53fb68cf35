/** What `--path` names, as a path below the mount that cannot lead out of it. */

import { realpathSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { MaintenanceError } from '../../domain/errors.js';
import { fromNodeError } from '../../kernel/kernel-error.js';
import { mountOf } from '../../kernel/mount-info.js';
import type { FsMount } from './detect.js';

/**
 * Links on the way to the mount are the caller's and are followed. Links to places below it may be
 * anybody's, who could turn a run to where nobody asked for one: none is followed here, and none by the scan.
 *
 * @param path absolute, or below the mount.
 * @returns null for the mount as a whole.
 * @throws MaintenanceError ERR_TARGET_NOT_FOUND, ERR_USAGE when it lies elsewhere, on another mount or behind a link.
 */
export function subtreeOf(mount: FsMount, path: string): string | null {
  const asked = resolve(mount.path, path);
  const real = realOf(asked);
  const isBelow = real === mount.path || real.startsWith(join(mount.path, '/'));
  if (!isBelow || mountOf(real).mountId !== mount.entry.mountId) {
    throw new MaintenanceError('ERR_USAGE', `${asked} is not in the file system on ${mount.path}`, {
      nextStep: `Name a file or directory of ${mount.path}, absolute or from there.`,
    });
  }
  const below = belowMount(mount, asked);
  if (below === null || join(mount.path, below) !== real) {
    throw new MaintenanceError('ERR_USAGE', `${asked} leads through a symbolic link`, {
      nextStep: `Name the place it leads to, ${real}, if that is what you mean.`,
    });
  }
  return below === '' ? null : below;
}

/** @returns null when the path does not lead through the mount point. */
function belowMount(mount: FsMount, asked: string): string | null {
  const names = asked.split('/');
  for (let count = 1; count <= names.length; count += 1) {
    const above = names.slice(0, count).join('/') || '/';
    if (realOf(above) === mount.path) return relative(above, asked);
  }
  return null;
}

function realOf(path: string): string {
  try {
    return realpathSync(path);
  } catch (cause) {
    throw fromNodeError('find', cause, path);
  }
}
