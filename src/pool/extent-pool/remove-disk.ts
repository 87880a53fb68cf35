/**
 * Takes a disk out of a pool: first everything moves away by the rewrite protocol (a run of kind
 * `evacuate`), then the disk is forgotten and its backing file deleted, or its device made blank.
 */

import { rmSync } from 'node:fs';
import { MaintenanceError } from '../../domain/errors.js';
import { formatBytes } from '../../domain/units.js';
import type { OpenFile } from '../../kernel/kernel-call.js';
import type { DiskRow } from '../../store/disks.js';
import type { PoolContext } from './context.js';
import { backingPath } from './data-file.js';
import { placementDisks } from './reserve-space.js';
import { refreshSuperblocks } from './snapshot.js';
import { eraseSuperblocks } from './superblock.js';

/** @throws MaintenanceError ERR_TARGET_NOT_FOUND naming the disks that there are. */
export function findDisk(context: PoolContext, pathOrUuid: string): DiskRow {
  const disks = context.store.disks.all();
  const found = disks.filter(
    (disk) =>
      disk.path === pathOrUuid || (pathOrUuid.length >= 4 && disk.uuid.startsWith(pathOrUuid)),
  );
  if (found.length === 1 && found[0]) return found[0];
  const what = found.length > 1 ? 'names several disks' : 'is no disk';
  throw new MaintenanceError('ERR_TARGET_NOT_FOUND', `${pathOrUuid} ${what} of ${context.path}`, {
    nextStep: `Disks of this pool: ${disks.map((disk) => disk.path).join(', ') || 'none'}.`,
  });
}

/**
 * Stops new data from going to the disk, once it is sure that the others can take what it holds.
 *
 * @throws MaintenanceError ERR_POLICY_REFUSED or ERR_NO_SPACE when they cannot.
 */
export function beginEvacuation(context: PoolContext, disk: DiskRow): void {
  const { store } = context;
  const others = placementDisks(context).filter((d) => d.diskId !== disk.diskId && d.healthy);
  const { bytes, replicaCountMax } = store.candidates.heldBy(disk.diskId);
  if (bytes > 0 && others.length < replicaCountMax) {
    throw new MaintenanceError(
      'ERR_POLICY_REFUSED',
      `${disk.path} holds extents that want ${replicaCountMax} replicas; ${others.length} other disk(s) are left`,
      { nextStep: 'Add a disk first; nothing was changed.' },
    );
  }
  const usableBytes = others.reduce((sum, other) => sum + other.usableBytes, 0);
  if (bytes > usableBytes) {
    throw new MaintenanceError(
      'ERR_NO_SPACE',
      `${disk.path} holds ${formatBytes(bytes)}; the other disks have room for ${formatBytes(usableBytes)}`,
      { nextStep: 'Add a disk or delete objects first; nothing was changed.' },
    );
  }
  store.disks.setEvacuating(disk.diskId, true);
}

/** @returns false while the disk still holds an extent; then nothing was changed. */
export function finishEvacuation(context: PoolContext, disk: DiskRow): boolean {
  const { store } = context;
  const { condition, file } = context.diskState(disk);
  const removed = store.transaction(() => {
    context.assertOwner();
    if (store.candidates.planOnDisk(disk.diskId).count > 0) return false;
    if (store.space.totals(disk.diskId).reservedBytes > 0) return false;
    store.disks.remove(disk.diskId);
    return true;
  });
  if (!removed) return false;
  // Before the device is let go of: it is ours until then.
  if (disk.kind === 'device' && condition === 'online' && file) eraseIfPossible(file, disk);
  context.forgetDisk(disk.diskId);
  refreshSuperblocks(context);
  if (disk.kind === 'directory') rmSync(backingPath(disk.path), { force: true });
  return true;
}

/** A device that is given up because it has failed can be written to by nobody, and is no member now. */
export function eraseIfPossible(
  file: OpenFile,
  { capacityBytes }: Pick<DiskRow, 'capacityBytes'>,
): void {
  try {
    eraseSuperblocks(file, [0, capacityBytes]);
  } catch (cause) {
    if (!(cause instanceof MaintenanceError) || cause.code === 'ERR_INVARIANT') throw cause;
  }
}
