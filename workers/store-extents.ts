/**
 * Piscina task: read content, hash it, and write it to the reserved runs of its replicas.
 *
 * Small extents go through the page cache, where many of them become few large writes; large ones
 * past it, since to copy them there helps nobody. The main thread makes the group durable with one
 * fdatasync per disk before it commits, whichever way it was written.
 */

import { closeSync, constants, openSync } from 'node:fs';
import { asMaintenanceError, MaintenanceError, type WireError } from '../src/domain/errors.js';
import type { StoredExtent, StoreExtent, StoreTask } from '../src/domain/tasks.js';
import { MIB, totalBytes } from '../src/domain/units.js';
import { readUpTo } from '../src/kernel/file-io.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { fromNodeError } from '../src/kernel/kernel-error.js';
import { TransferBatch } from '../src/kernel/transfer-batch.js';
import { checksumOf } from './checksum.js';
import { DiskFiles, extentBuffer, finishWrites, requestsOf, writeRuns } from './replica-io.js';
import { settle } from './settle.js';

/** What was a file when it was listed may be a link or a pipe by now: neither follow nor wait. */
const SOURCE_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** From this on a write is long enough for the disk to be busy with it alone. */
const DIRECT_BYTES_MIN = MIB;

export default (task: StoreTask) => settle(() => storeExtents(task));

/** As many as the disk takes at a time from this thread, so that it never waits for the next. */
const WRITES_UNDER_WAY = 2;
/** Of larger extents one, so that memory stays bounded. */
const OVERLAP_BYTES_MAX = 16 * MIB;

/**
 * While the disk takes some extents, this thread hashes them and reads the next.
 *
 * @throws MaintenanceError when a disk cannot be written; a bad source is an outcome of its extent.
 */
export function storeExtents(task: StoreTask): StoredExtent[] {
  using disks = new DiskFiles();
  const outcomes: StoredExtent[] = [];
  const isLarge = task.extents.some(({ sizeBytes }) => sizeBytes > OVERLAP_BYTES_MAX);
  const underWayMax = isLarge ? 1 : WRITES_UNDER_WAY;
  const underWay: TransferBatch[] = [];
  // Says which buffer is free: those of the last ones may still be read from.
  let begunCount = 0;
  const finishUntil = (count: number) => {
    for (; underWay.length > count; underWay.shift()) finishWrites(underWay[0] as TransferBatch);
  };
  try {
    for (const extent of task.extents) {
      const content = contentOf(extent, begunCount % (underWayMax + 1));
      if ('error' in content) {
        outcomes.push({ kind: 'source-failed', error: content.error });
        continue;
      }
      finishUntil(underWayMax - 1);
      const writing = writeReplicas(extent, content.whole, disks);
      if (writing) {
        underWay.push(writing);
        begunCount += 1;
      }
      const checksum = checksumOf(content.whole.subarray(0, extent.sizeBytes));
      outcomes.push({ kind: 'stored', checksum });
    }
    finishUntil(0);
  } finally {
    // They read from buffers of this thread, and write to files that are closed next.
    for (const writing of underWay) writing.finish();
  }
  return outcomes;
}

/** Whole blocks with zeros behind the content. */
function contentOf(
  extent: StoreExtent,
  slot: number,
): { readonly whole: Buffer } | { readonly error: WireError } {
  const target = extent.targets[0];
  if (!target) throw new MaintenanceError('ERR_INVARIANT', 'an extent needs a target');
  const { data, sizeBytes } = extent;
  const wholeBytes = totalBytes(target.runs);
  if (data) return { whole: Buffer.from(data.buffer, data.byteOffset, wholeBytes) };
  const whole = extentBuffer(wholeBytes, slot);
  try {
    readSource(extent, whole.subarray(0, sizeBytes));
  } catch (cause) {
    return { error: asMaintenanceError(cause).toWire() };
  }
  whole.fill(0, sizeBytes);
  return { whole };
}

/** @returns what is under way: all replicas of a large extent, or nothing of a small one. */
function writeReplicas(
  { targets }: StoreExtent,
  whole: Buffer,
  disks: DiskFiles,
): TransferBatch | null {
  const direct = whole.length >= DIRECT_BYTES_MIN;
  const files = targets.map(({ path }) => disks.open(path, 'write', direct).file);
  if (direct) {
    const requests = targets.flatMap((replica, index) =>
      requestsOf(files[index] as OpenFile, replica, whole),
    );
    return TransferBatch.write(requests, whole);
  }
  for (const [index, replica] of targets.entries()) {
    writeRuns(files[index] as OpenFile, replica, whole);
  }
  return null;
}

function readSource({ source, sizeBytes }: StoreExtent, content: Buffer): void {
  if (!source) throw new MaintenanceError('ERR_INVARIANT', 'an extent needs a source');
  let fd: number;
  try {
    fd = openSync(source.path, SOURCE_FLAGS);
  } catch (cause) {
    throw fromNodeError('open', cause, source.path);
  }
  try {
    const file = { fd, path: source.path };
    const readBytes = readUpTo(file, content, source.offsetBytes);
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
