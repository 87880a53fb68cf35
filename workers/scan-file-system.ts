/** Piscina task: count the files of a mount and where they lie. The addon has threads of its own. */

import { closeSync, openSync } from 'node:fs';
import { MaintenanceError } from '../src/domain/errors.js';
import type { ScanReport, ScanTask } from '../src/domain/file-scan.js';
import { fromNodeError } from '../src/kernel/kernel-error.js';
import { scanFileSystem } from '../src/kernel/scan.js';
import { syncFileSystem } from '../src/kernel/sync-file-system.js';
import { settle } from './settle.js';

export default (task: ScanTask) => settle(() => scanMount(task));

/** @throws MaintenanceError when the mount cannot be read at all; single files are counted. */
export function scanMount(task: ScanTask): ScanReport {
  const startedAtMs = performance.now();
  giveDataItsPlace(task.mountPath);
  const findings = scanFileSystem(task);
  return { ...findings, durationMs: performance.now() - startedAtMs };
}

/** What waits in memory lies nowhere yet, and has no fragments to count. */
function giveDataItsPlace(mountPath: string): void {
  let fd: number;
  try {
    fd = openSync(mountPath, 'r');
  } catch (cause) {
    throw fromNodeError('open', cause, mountPath);
  }
  try {
    syncFileSystem({ fd, path: mountPath });
  } catch (cause) {
    // A device that loses writes is not for the analysis to judge: it reads what there is.
    if (!(cause instanceof MaintenanceError)) throw cause;
  } finally {
    closeSync(fd);
  }
}
