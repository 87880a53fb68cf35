/**
 * Piscina task: read extents, verify each, and bring the bytes where they are wanted.
 *
 * Chunk by chunk, so that what was read is still in the processor's cache when it is hashed and
 * written; through the page cache, so that what is read again need not come from the disk. Large ones
 * of raw devices past it (read-past-cache.ts), of which the next is read while one is hashed.
 */

import { Blake3Hasher } from '@napi-rs/blake-hash';
import { asMaintenanceError } from '../src/domain/errors.js';
import { WRONG_CHECKSUM } from '../src/domain/repairs.js';
import type {
  BadReplica,
  ReadExtent,
  ReadOutcome,
  ReadTask,
  ReplicaLocation,
} from '../src/domain/tasks.js';
import { KIB, MIB, totalBytes } from '../src/domain/units.js';
import { readFully } from '../src/kernel/file-io.js';
import { AheadOf } from './read-ahead.js';
import { filePastCache, ReadPastCache } from './read-past-cache.js';
import { openTarget, type ReadTarget, wholeRoom } from './read-target.js';
import { DiskFiles } from './replica-io.js';
import { settle } from './settle.js';

/** Fits the second-level cache of every processor of the last ten years. */
const CHUNK_BYTES = 128 * KIB;
/** Before a larger extent none is begun, so that memory stays bounded. */
const AHEAD_BYTES_MAX = 16 * MIB;

export default (task: ReadTask) => settle(() => readExtents(task));

/** @throws MaintenanceError when a destination cannot be written; bad replicas are an outcome. */
export function readExtents({ extents }: ReadTask): ReadOutcome[] {
  using disks = new DiskFiles();
  const cached = new Set(extents.filter((extent) => !isFirstPastCache(extent, disks)));
  const ahead = new AheadOf([...cached], disks);
  /** Of the next extent. */
  let begun: ReadPastCache | null = null;
  try {
    return extents.map((extent, index) => {
      if (cached.has(extent)) ahead.next(extent);
      const first = begun ?? begin(extent, extent.replicas[0], index, disks);
      begun = null;
      try {
        const next = extents[index + 1];
        if (next && isSmall(extent) && isSmall(next)) {
          begun = begin(next, next.replicas[0], index + 1, disks);
        }
        return readExtent(extent, { index, first, disks });
      } finally {
        first?.settle();
      }
    });
  } finally {
    // After an error it may still be read.
    (begun as ReadPastCache | null)?.settle();
  }
}

function isFirstPastCache({ replicas: [first] }: ReadExtent, disks: DiskFiles): boolean {
  return first !== undefined && filePastCache(first, disks) !== null;
}

function isSmall({ sizeBytes }: ReadExtent): boolean {
  return sizeBytes <= AHEAD_BYTES_MAX;
}

/** @returns null when there is nothing to begin: it is read through the cache. */
function begin(
  { destination }: ReadExtent,
  replica: ReplicaLocation | undefined,
  index: number,
  disks: DiskFiles,
): ReadPastCache | null {
  const file = replica ? filePastCache(replica, disks) : null;
  if (!replica || !file) return null;
  const whole = wholeRoom(destination, totalBytes(replica.runs), index);
  return new ReadPastCache(file, replica, whole);
}

interface Begun {
  readonly index: number;
  /** Of the first replica. */
  readonly first: ReadPastCache | null;
  readonly disks: DiskFiles;
}

function readExtent(extent: ReadExtent, { index, first, disks }: Begun): ReadOutcome {
  const { extentId, destination } = extent;
  const badReplicas: BadReplica[] = [];
  using target = openTarget(destination, CHUNK_BYTES);
  for (const replica of extent.replicas) {
    const isFirst = replica === extent.replicas[0];
    const past = isFirst ? first : begin(extent, replica, index, disks);
    const reason = past
      ? readPastCache(extent, past, target)
      : readThroughCache(extent, replica, target, disks);
    if (reason === null) return { extentId, badReplicas, good: true };
    badReplicas.push({ diskId: replica.diskId, reason });
  }
  return { extentId, badReplicas, good: false };
}

/** @returns why the replica is bad, or null. */
function readPastCache(extent: ReadExtent, past: ReadPastCache, target: ReadTarget): string | null {
  try {
    return past.verify(extent, target);
  } finally {
    // The next replica comes into the same memory.
    past.settle();
  }
}

/**
 * Brings the content of one replica to its target while it is hashed. What came from a bad replica
 * is overwritten by the next one, or the target is given up: nobody has seen it yet.
 *
 * @returns why the replica is bad, or null.
 */
function readThroughCache(
  { sizeBytes, checksum }: ReadExtent,
  replica: ReplicaLocation,
  target: ReadTarget,
  disks: DiskFiles,
): string | null {
  const hasher = new Blake3Hasher();
  let doneBytes = 0;
  for (const run of replica.runs) {
    const runEndBytes = Math.min(doneBytes + run.lengthBytes, sizeBytes);
    for (let fromBytes = run.startBytes; doneBytes < runEndBytes; ) {
      const lengthBytes = Math.min(CHUNK_BYTES, runEndBytes - doneBytes);
      const chunk = target.room(doneBytes, lengthBytes);
      const problem = readChunk(replica, chunk, fromBytes, disks);
      if (problem !== null) return problem;
      hasher.update(chunk);
      target.take(chunk, doneBytes);
      doneBytes += lengthBytes;
      fromBytes += lengthBytes;
    }
  }
  return hasher.digestBuffer().equals(checksum) ? null : WRONG_CHECKSUM;
}

/** @returns why it cannot be read, or null. */
function readChunk(
  replica: ReplicaLocation,
  chunk: Buffer,
  atBytes: number,
  disks: DiskFiles,
): string | null {
  try {
    readFully(disks.open(replica.path, 'read', false).file, chunk, atBytes);
    return null;
  } catch (cause) {
    return asMaintenanceError(cause).message;
  }
}
