/** Piscina task: count the files of a mount and where they lie. The addon has threads of its own. */

import type { ScanReport, ScanTask } from '../src/domain/file-scan.js';
import { scanFileSystem } from '../src/kernel/scan.js';
import { giveDataItsPlace } from './give-data-its-place.js';
import { settle } from './settle.js';

export default (task: ScanTask) => settle(() => scanMount(task));

/** @throws MaintenanceError when the mount cannot be read at all; single files are counted. */
export function scanMount(task: ScanTask): ScanReport {
  const startedAtMs = performance.now();
  giveDataItsPlace(task.mountPath);
  const findings = scanFileSystem(task);
  return { ...findings, durationMs: performance.now() - startedAtMs };
}
