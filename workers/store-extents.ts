/**
 * Piscina task: read content, hash it, and write it to the reserved runs of its replicas.
 *
 * Small extents go through the page cache, where many of them become few large writes; large ones
 * past it, since to copy them there helps nobody. The main thread makes the group durable with one
 * fdatasync per disk before it commits, whichever way it was written.
 */

import { closeSync, constants, openSync } from 'node:fs';
import { asMaintenanceError, MaintenanceError } from '../src/domain/errors.js';
import type { StoredExtent, StoreExtent, StoreTask } from '../src/domain/tasks.js';
import { MIB, totalBytes } from '../src/domain/units.js';
import { readUpTo } from '../src/kernel/file-io.js';
import { fromNodeError } from '../src/kernel/kernel-error.js';
import { checksumOf } from './checksum.js';
import { DiskFiles, extentBuffer, writeRuns } from './replica-io.js';
import { settle } from './settle.js';

/** What was a file when it was listed may be a link or a pipe by now: neither follow nor wait. */
const SOURCE_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** From this on a write is long enough for the disk to be busy with it alone. */
const DIRECT_BYTES_MIN = MIB;

export default (task: StoreTask) => settle(() => storeExtents(task));

/** @throws MaintenanceError when a disk cannot be written; a bad source is an outcome of its extent. */
export function storeExtents(task: StoreTask): StoredExtent[] {
  using disks = new DiskFiles();
  return task.extents.map((extent) => storeExtent(extent, disks));
}

function storeExtent(extent: StoreExtent, disks: DiskFiles): StoredExtent {
  const target = extent.targets[0];
  if (!target) throw new MaintenanceError('ERR_INVARIANT', 'an extent needs a target');
  const whole = extentBuffer(totalBytes(target.runs));
  try {
    fillFromSource(extent, whole);
  } catch (cause) {
    return { kind: 'source-failed', error: asMaintenanceError(cause).toWire() };
  }
  whole.fill(0, extent.sizeBytes);
  const direct = whole.length >= DIRECT_BYTES_MIN;
  for (const replica of extent.targets) {
    writeRuns(disks.open(replica.path, 'write', direct).file, replica, whole);
  }
  return { kind: 'stored', checksum: checksumOf(whole.subarray(0, extent.sizeBytes)) };
}

function fillFromSource({ source, data, sizeBytes }: StoreExtent, whole: Buffer): void {
  if (data) {
    whole.set(data);
    return;
  }
  if (!source) throw new MaintenanceError('ERR_INVARIANT', 'an extent needs a source');
  let fd: number;
  try {
    fd = openSync(source.path, SOURCE_FLAGS);
  } catch (cause) {
    throw fromNodeError('open', cause, source.path);
  }
  try {
    const file = { fd, path: source.path };
    const readBytes = readUpTo(file, whole.subarray(0, sizeBytes), source.offsetBytes);
    if (readBytes < sizeBytes) {
      throw new MaintenanceError(
        'ERR_MAP_CHANGED',
        `${source.path} became shorter while it was read`,
        {
          nextStep: 'Store it again when nobody writes to it.',
        },
      );
    }
  } finally {
    closeSync(fd);
  }
}
