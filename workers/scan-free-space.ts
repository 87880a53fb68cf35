/** Piscina task: the free space of a mount by size. */

import type { FreeSpaceReport, FreeSpaceTask } from '../src/domain/file-scan.js';
import { scanFreeSpace } from '../src/kernel/scan.js';
import { giveDataItsPlace } from './give-data-its-place.js';
import { settle } from './settle.js';

export default (task: FreeSpaceTask) => settle(() => freeSpaceOf(task));

/** @throws MaintenanceError ERR_UNSUPPORTED or ERR_PERMISSION where nobody tells. */
export function freeSpaceOf(task: FreeSpaceTask): FreeSpaceReport {
  giveDataItsPlace(task.mountPath);
  return scanFreeSpace(task);
}
