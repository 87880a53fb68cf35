/** Makes a mount known to this node, and finds what is known of one. */

import { randomUUID } from 'node:crypto';
import { MaintenanceError } from '../../domain/errors.js';
import { type RegisteredFileSystem, Registry } from '../../store/registry.js';
import { createFsPoolStore, notMounted } from './context.js';
import { type FsMount, kernelPath, mountAt, movableType } from './detect.js';

export interface LocatedFileSystem {
  readonly path: string;
  /** Null while nothing is mounted there. */
  readonly mount: FsMount | null;
  /** What the registry knows of the file system that is mounted, or was last. */
  readonly registered: RegisteredFileSystem | null;
}

/** @returns null when the path is neither a mount point nor was registered as one. */
export function locateFileSystem(stateDirectory: string, path: string): LocatedFileSystem | null {
  const real = kernelPath(path);
  const mount = mountAt(real);
  const known = registeredAt(stateDirectory, real);
  const same = known.find(({ fileSystemUuid }) => fileSystemUuid === mount?.uuid);
  const registered = mount ? (same ?? null) : (known[0] ?? null);
  return mount || registered ? { path: real, mount, registered } : null;
}

/** Does not make a state directory: a command that only looks leaves nothing behind. */
function registeredAt(stateDirectory: string, path: string): RegisteredFileSystem[] {
  if (!Registry.exists(stateDirectory)) return [];
  const registry = new Registry(stateDirectory);
  try {
    return registry.fileSystemsAt(path);
  } finally {
    registry.close();
  }
}

/**
 * Registers a mount, or finds that it is registered.
 *
 * @throws MaintenanceError ERR_TARGET_NOT_FOUND when it is no mount point, ERR_UNSUPPORTED for other
 *   file systems, ERR_PERMISSION when its UUID cannot be read.
 */
export function registerMount(
  stateDirectory: string,
  path: string,
  nowMs: number,
): { readonly registered: RegisteredFileSystem; readonly mount: FsMount; readonly isNew: boolean } {
  const located = locateFileSystem(stateDirectory, path);
  const mount = located?.mount;
  if (!mount) throw noMountPoint(path);
  const fsType = movableType(mount);
  if (located.registered) return { registered: located.registered, mount, isNew: false };
  if (mount.uuid === null) throw noUuid(mount);
  const registered: RegisteredFileSystem = {
    poolId: randomUUID(),
    path: mount.path,
    kind: 'file-system',
    registeredAtMs: nowMs,
    fileSystemUuid: mount.uuid,
  };
  createFsPoolStore(stateDirectory, {
    poolId: registered.poolId,
    createdAtMs: nowMs,
    defragEnabled: false,
    defragIntensity: 'low',
    defragThreadCount: 1,
    defragNotBeforeMs: 0,
    mountPath: mount.path,
    fileSystemUuid: mount.uuid,
    fsType,
  });
  const registry = new Registry(stateDirectory);
  try {
    registry.register(registered);
  } finally {
    registry.close();
  }
  return { registered, mount, isNew: true };
}

/** @throws MaintenanceError ERR_DISK_UNAVAILABLE while it is not mounted, or another one is. */
export function mountOfRegistered({ path, fileSystemUuid }: RegisteredFileSystem): FsMount {
  const mount = mountAt(path);
  if (mount?.uuid === fileSystemUuid && mount.path === path) return mount;
  throw notMounted(path, fileSystemUuid);
}

function noMountPoint(path: string): MaintenanceError {
  return new MaintenanceError('ERR_TARGET_NOT_FOUND', `${path} is not a mount point`, {
    nextStep: 'Name the directory on which the file system is mounted: see `findmnt`.',
  });
}

function noUuid({ path, devices }: FsMount): MaintenanceError {
  const device = devices[0]?.path ?? 'its device';
  return new MaintenanceError('ERR_PERMISSION', `the UUID of ${path} cannot be read`, {
    nextStep: `Run it as a user who may read ${device}, such as root.`,
  });
}
