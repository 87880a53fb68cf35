/**
 * Piscina task: write one replica of an extent to a new place, and believe it only when it was read
 * back from the disk. Steps 2 of the rewrite protocol; the main thread does the rest.
 */

import { asMaintenanceError, MaintenanceError } from '../src/domain/errors.js';
import type { ReplicaLocation, RewriteOutcome, RewriteTask } from '../src/domain/tasks.js';
import { totalBytes } from '../src/domain/units.js';
import { crashPoint } from '../src/kernel/crash-point.js';
import { syncData } from '../src/kernel/file-io.js';
import { dropPageCache } from '../src/kernel/page-cache.js';
import { hasChecksum } from './checksum.js';
import { extentBuffer, openReplica, readRuns, writeRuns } from './replica-io.js';
import { settle } from './settle.js';

export default (task: RewriteTask) => settle(() => rewriteExtent(task));

/**
 * @throws MaintenanceError ERR_CHECKSUM_MISMATCH when no source is good, or when the target did not
 *   keep what was written; the extent is then as it was.
 */
export function rewriteExtent(task: RewriteTask): RewriteOutcome {
  const whole = extentBuffer(totalBytes(task.target.runs));
  const badReplicas = readGoodSource(task, whole);
  whole.fill(0, task.sizeBytes);
  crashPoint('rewrite-read');

  using target = openReplica(task.target.path, 'write', true);
  writeRuns(target.file, task.target, whole);
  crashPoint('rewrite-written');
  syncData(target.file);
  crashPoint('rewrite-synced');

  // What the cache holds proves nothing about the disk.
  if (!target.direct) for (const run of task.target.runs) dropPageCache(target.file, run);
  readRuns(target.file, task.target, whole);
  if (!hasChecksum(whole.subarray(0, task.sizeBytes), task.checksum)) {
    throw new MaintenanceError(
      'ERR_CHECKSUM_MISMATCH',
      `${task.target.path} did not keep what was written to it`,
      { nextStep: 'The extent is unharmed. Check this disk, and remove it from the pool.' },
    );
  }
  crashPoint('rewrite-verified');
  return { badReplicas };
}

/** Reads replicas in turn until one has the checksum that the catalogue knows. */
function readGoodSource(task: RewriteTask, whole: Buffer): RewriteOutcome['badReplicas'] {
  const badReplicas: { diskId: number; reason: string }[] = [];
  for (const source of task.sources) {
    const reason = readSource(source, task, whole);
    if (reason === null) return badReplicas;
    badReplicas.push({ diskId: source.diskId, reason });
  }
  throw new MaintenanceError('ERR_CHECKSUM_MISMATCH', 'no replica of the extent is good', {
    details: { badReplicas },
    nextStep: 'Bring back the disks that are away, or restore the object from a backup.',
  });
}

function readSource(source: ReplicaLocation, task: RewriteTask, whole: Buffer): string | null {
  try {
    using replica = openReplica(source.path, 'read', true);
    readRuns(replica.file, source, whole);
    return hasChecksum(whole.subarray(0, task.sizeBytes), task.checksum) ? null : 'wrong checksum';
  } catch (cause) {
    return asMaintenanceError(cause).message;
  }
}
