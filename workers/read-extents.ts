/** Piscina task: read extents, verify each, and bring the bytes where they are wanted. */

import { closeSync, openSync } from 'node:fs';
import { asMaintenanceError, MaintenanceError } from '../src/domain/errors.js';
import type { ReadExtent, ReadOutcome, ReadTask, ReplicaLocation } from '../src/domain/tasks.js';
import { totalBytes } from '../src/domain/units.js';
import { writeFully } from '../src/kernel/file-io.js';
import { fromNodeError } from '../src/kernel/kernel-error.js';
import { hasChecksum } from './checksum.js';
import { DiskFiles, extentBuffer, readRuns } from './replica-io.js';
import { settle } from './settle.js';

export default (task: ReadTask) => settle(() => readExtents(task));

/** @throws MaintenanceError when a destination cannot be written; bad replicas are an outcome. */
export function readExtents(task: ReadTask): ReadOutcome[] {
  using disks = new DiskFiles();
  return task.extents.map((extent) => readExtent(extent, disks));
}

function readExtent(extent: ReadExtent, disks: DiskFiles): ReadOutcome {
  const { extentId, sizeBytes } = extent;
  const badReplicas: { diskId: number; reason: string }[] = [];
  for (const replica of extent.replicas) {
    const whole = extentBuffer(totalBytes(replica.runs));
    const content = whole.subarray(0, sizeBytes);
    const reason = readReplica(extent, replica, whole, disks);
    if (reason === null) {
      if (extent.destination) writeContent(extent.destination, content);
      const data = extent.destination ? null : new Uint8Array(content);
      return { extentId, badReplicas, good: true, data };
    }
    badReplicas.push({ diskId: replica.diskId, reason });
  }
  return { extentId, badReplicas, good: false, data: null };
}

/** @returns why the replica is bad, or null. */
function readReplica(
  extent: ReadExtent,
  replica: ReplicaLocation,
  whole: Buffer,
  disks: DiskFiles,
): string | null {
  try {
    readRuns(disks.open(replica.path, 'read', false).file, replica, whole);
    const content = whole.subarray(0, extent.sizeBytes);
    return hasChecksum(content, extent.checksum) ? null : 'wrong checksum';
  } catch (cause) {
    if (cause instanceof MaintenanceError && cause.code === 'ERR_INVARIANT') throw cause;
    return asMaintenanceError(cause).message;
  }
}

function writeContent(
  destination: { readonly path: string; readonly offsetBytes: number },
  content: Buffer,
): void {
  const { path, offsetBytes } = destination;
  let fd: number;
  try {
    fd = openSync(path, 'r+');
  } catch (cause) {
    throw fromNodeError('open', cause, path);
  }
  try {
    writeFully({ fd, path }, content, offsetBytes);
  } finally {
    closeSync(fd);
  }
}
