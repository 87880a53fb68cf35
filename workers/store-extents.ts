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
import { fromNodeError } from '../src/kernel/kernel-error.js';
import { checksumOf } from './checksum.js';
import { DiskFiles, extentBuffer, writeRuns, writeRunsAsync } from './replica-io.js';
import { settle } from './settle.js';

/** What was a file when it was listed may be a link or a pipe by now: neither follow nor wait. */
const SOURCE_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** From this on a write is long enough for the disk to be busy with it alone. */
const DIRECT_BYTES_MIN = MIB;

export default (task: StoreTask) => settle(() => storeExtents(task));

/**
 * While the disk takes one extent, this thread hashes it and reads the next.
 *
 * @throws MaintenanceError when a disk cannot be written; a bad source is an outcome of its extent.
 */
export async function storeExtents(task: StoreTask): Promise<StoredExtent[]> {
  using disks = new DiskFiles();
  const outcomes: StoredExtent[] = [];
  let writing: Promise<void> = Promise.resolve();
  try {
    for (const [index, extent] of task.extents.entries()) {
      const content = contentOf(extent, index % 2);
      if ('error' in content) {
        outcomes.push({ kind: 'source-failed', error: content.error });
        continue;
      }
      await writing;
      writing = writeReplicas(extent, content.whole, disks);
      // Handled where it is awaited; until then a failure must not count as unhandled.
      writing.catch(() => {});
      const checksum = checksumOf(content.whole.subarray(0, extent.sizeBytes));
      outcomes.push({ kind: 'stored', checksum });
    }
  } finally {
    // It reads from a buffer of this thread, and writes to a file that is closed next.
    await Promise.allSettled([writing]);
  }
  await writing;
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

async function writeReplicas(
  { targets }: StoreExtent,
  whole: Buffer,
  disks: DiskFiles,
): Promise<void> {
  const direct = whole.length >= DIRECT_BYTES_MIN;
  for (const replica of targets) {
    const { file } = disks.open(replica.path, 'write', direct);
    if (direct) await writeRunsAsync(file, replica, whole);
    else writeRuns(file, replica, whole);
  }
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
