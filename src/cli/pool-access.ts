/** Opens the pool that a command names, and closes it however the command ends; finds its disks. */

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { MaintenanceError } from '../domain/errors.js';
import { stateDirectory } from '../kernel/state-directory.js';
import { CATALOGUE_FILE, type OpenMode } from '../pool/extent-pool/catalogue.js';
import { ExtentPool } from '../pool/extent-pool/extent-pool.js';
import { findDisk } from '../pool/extent-pool/remove-disk.js';
import { FsPool } from '../pool/fs-pool/fs-pool.js';
import { type LocatedFileSystem, locateFileSystem } from '../pool/fs-pool/register.js';
import { WorkerPool } from '../pool/worker-pool.js';
import type { DiskRow } from '../store/disks.js';

/** What a command does with either kind of pool. */
export interface EitherPool<T> {
  readonly extent: (pool: ExtentPool) => Promise<T> | T;
  readonly fileSystem: (pool: FsPool) => Promise<T> | T;
}

/** For what makes sense on an extent pool only. @throws MaintenanceError ERR_UNSUPPORTED on a mount. */
export async function withPool<T>(
  path: string,
  mode: OpenMode,
  body: (pool: ExtentPool) => Promise<T> | T,
): Promise<T> {
  const located = locate(path);
  if (located) throw extentPoolsOnly(located);
  return await closing(ExtentPool.open(path, { mode }), body);
}

/** As `withPool`, for writing, of a command that puts threads to work: one starts meanwhile. */
export async function withPoolAtWork<T>(
  path: string,
  kind: 'store-extents' | 'read-extents',
  body: (pool: ExtentPool) => Promise<T> | T,
): Promise<T> {
  const located = locate(path);
  if (located) throw extentPoolsOnly(located);
  const workers = await WorkerPool.starting(kind);
  try {
    return await closing(ExtentPool.open(path, { mode: 'write', workers }), body);
  } finally {
    // A pool that could not be opened does not end them; else this is nothing.
    await workers.close();
  }
}

/** @throws MaintenanceError ERR_NOT_A_POOL for a mount that is not registered. */
export async function withEitherPool<T>(
  path: string,
  mode: OpenMode,
  { extent, fileSystem }: EitherPool<T>,
): Promise<T> {
  const located = locate(path);
  if (!located) return await closing(ExtentPool.open(path, { mode }), extent);
  if (!located.registered) throw notRegistered(located);
  return await closing(openFileSystem(located, mode), fileSystem);
}

/** For what is the same for both kinds. */
export function withAnyPool<T>(
  path: string,
  mode: OpenMode,
  body: (pool: ExtentPool | FsPool) => Promise<T> | T,
): Promise<T> {
  return withEitherPool(path, mode, { extent: body, fileSystem: body });
}

/** @returns null when the path is an extent pool, or nothing that is known. */
export function locate(path: string): LocatedFileSystem | null {
  // First, since most pools have one: a mount point may be an extent pool, too.
  if (existsSync(join(resolve(path), CATALOGUE_FILE))) return null;
  return locateFileSystem(stateDirectory(), path);
}

export function openFileSystem(located: LocatedFileSystem, mode: OpenMode): FsPool {
  if (!located.registered) throw notRegistered(located);
  return FsPool.open(stateDirectory(), located.registered, { mode });
}

async function closing<P extends { close(): Promise<void> }, T>(
  pool: P,
  body: (pool: P) => Promise<T> | T,
): Promise<T> {
  try {
    return await body(pool);
  } finally {
    await pool.close();
  }
}

function notRegistered({ path, mount }: LocatedFileSystem): MaintenanceError {
  const type = mount?.entry.typeName;
  if (mount?.fsType === 'other') {
    return new MaintenanceError('ERR_UNSUPPORTED', `${path} is a mounted ${type}, not a pool`, {
      nextStep: 'Name a mount of ext4, XFS or Btrfs, or a pool made with `dynamicfs init`.',
    });
  }
  return new MaintenanceError(
    'ERR_NOT_A_POOL',
    `${path} is a mounted ${type} that is not registered as a pool`,
    { nextStep: `Register it: \`dynamicfs init --pool ${path}\`.` },
  );
}

function extentPoolsOnly({ path }: LocatedFileSystem): MaintenanceError {
  return new MaintenanceError('ERR_UNSUPPORTED', `${path} is a mounted file system`, {
    nextStep:
      'Its files are used through the mount itself. See `dynamicfs status`, `defrag`, `trim` and `doctor` for what can be done with it.',
  });
}

/** For options that make sense on a mounted file system only. */
export function fileSystemsOnly(option: string): MaintenanceError {
  return new MaintenanceError('ERR_UNSUPPORTED', `${option} is for mounted file systems`, {
    nextStep: 'Leave it out for this pool, or name a mount point with --pool.',
  });
}

/**
 * The disk that a user named by the beginning of its id or by a path, from the working directory.
 *
 * @throws MaintenanceError ERR_TARGET_NOT_FOUND naming the disks that there are.
 */
export function findNamedDisk({ context }: ExtentPool, name: string): DiskRow {
  const path = resolve(name);
  const isPath = context.store.disks.all().some((disk) => disk.path === path);
  return findDisk(context, isPath ? path : name);
}
