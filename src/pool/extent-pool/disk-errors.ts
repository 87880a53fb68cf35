/**
 * Counts what a disk could not read or write, whoever met it: enough of it, and the disk is given up
 * (src/domain/disk-health.ts).
 */

import { asMaintenanceError } from '../../domain/errors.js';
import type { PoolContext } from './context.js';

/**
 * Does something that writes to disks, and counts an error of one of them.
 *
 * Afterwards, since what failed was perhaps a transaction: what is counted in it would be taken back.
 */
export function countingErrors<T>(context: PoolContext, write: () => T): T {
  try {
    return write();
  } catch (cause) {
    countDiskError(context, cause);
    throw cause;
  }
}

/**
 * Does nothing for an error that is of no disk, or of one that is away. Safe while: in no transaction
 * that `cause` is about to undo.
 */
export function countDiskError(context: PoolContext, cause: unknown): void {
  const { code, details } = asMaintenanceError(cause);
  if (code !== 'ERR_KERNEL' || context.mode === 'read') return;
  const { store } = context;
  const disk = store.disks.all().find((one) => context.diskState(one).file?.path === details.path);
  if (disk && context.isThere(disk.diskId)) store.health.countError(disk.diskId);
}
