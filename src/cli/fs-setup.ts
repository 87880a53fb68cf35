/** `init` of a mount point. */

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { makeStateDirectory } from '../kernel/state-directory.js';
import { CATALOGUE_FILE } from '../pool/extent-pool/catalogue.js';
import { isMovable, mountAt } from '../pool/fs-pool/detect.js';
import { registerMount } from '../pool/fs-pool/register.js';
import type { Output } from './schemas.js';

/** Disks belong to an extent pool, which may lie on a mount point, too. */
export function isMountToRegister(
  path: string,
  { asked, hasDisks }: { readonly asked: boolean; readonly hasDisks: boolean },
): boolean {
  if (asked) return true;
  if (hasDisks || existsSync(join(resolve(path), CATALOGUE_FILE))) return false;
  const mount = mountAt(path);
  return mount !== null && isMovable(mount);
}

/** @throws MaintenanceError as `registerMount`. */
export function registerFileSystem(path: string): Extract<Output<'init'>, { kind: 'file-system' }> {
  const { registered, mount, isNew } = registerMount(makeStateDirectory(), path, Date.now());
  return {
    schemaVersion: 1,
    kind: 'file-system',
    poolId: registered.poolId,
    path: registered.path,
    fsType: mount.fsType,
    fileSystemUuid: registered.fileSystemUuid,
    isNew,
  };
}
