/** Opens the pool that a command names, and closes it however the command ends; finds its disks. */

import { resolve } from 'node:path';
import type { OpenMode } from '../pool/extent-pool/context.js';
import { ExtentPool } from '../pool/extent-pool/extent-pool.js';
import { findDisk } from '../pool/extent-pool/remove-disk.js';
import type { DiskRow } from '../store/disks.js';

export async function withPool<T>(
  path: string,
  mode: OpenMode,
  body: (pool: ExtentPool) => Promise<T> | T,
): Promise<T> {
  const pool = ExtentPool.open(path, { mode });
  try {
    return await body(pool);
  } finally {
    await pool.close();
  }
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
