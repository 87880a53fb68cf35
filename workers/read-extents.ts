/**
 * Piscina task: read extents, verify each, and bring the bytes where they are wanted.
 *
 * Chunk by chunk, so that what was read is still in the processor's cache when it is hashed and
 * written; through the page cache, so that what is read again need not come from the disk.
 */

import { closeSync, openSync } from 'node:fs';
import { Blake3Hasher } from '@napi-rs/blake-hash';
import { asMaintenanceError } from '../src/domain/errors.js';
import type {
  BadReplica,
  ReadDestination,
  ReadExtent,
  ReadOutcome,
  ReadTask,
  ReplicaLocation,
} from '../src/domain/tasks.js';
import { KIB } from '../src/domain/units.js';
import { readFully, writeFully } from '../src/kernel/file-io.js';
import { fromNodeError } from '../src/kernel/kernel-error.js';
import { AheadOf } from './read-ahead.js';
import { DiskFiles, extentBuffer } from './replica-io.js';
import { settle } from './settle.js';

/** Fits the second-level cache of every processor of the last ten years. */
const CHUNK_BYTES = 128 * KIB;

export default (task: ReadTask) => settle(() => readExtents(task));

/** @throws MaintenanceError when a destination cannot be written; bad replicas are an outcome. */
function readExtents({ extents }: ReadTask): ReadOutcome[] {
  using disks = new DiskFiles();
  const ahead = new AheadOf(extents, disks);
  return extents.map((extent) => {
    ahead.next(extent);
    return readExtent(extent, disks);
  });
}

function readExtent(extent: ReadExtent, disks: DiskFiles): ReadOutcome {
  const { extentId, destination } = extent;
  const badReplicas: BadReplica[] = [];
  using target = targetOf(destination);
  for (const replica of extent.replicas) {
    const reason = readReplica(extent, replica, target, disks);
    if (reason === null) return { extentId, badReplicas, good: true };
    badReplicas.push({ diskId: replica.diskId, reason });
  }
  return { extentId, badReplicas, good: false };
}

/**
 * Brings the content of one replica to its target while it is hashed. What came from a bad replica
 * is overwritten by the next one, or the target is given up: nobody has seen it yet.
 *
 * @returns why the replica is bad, or null.
 */
function readReplica(
  { sizeBytes, checksum }: ReadExtent,
  replica: ReplicaLocation,
  target: Target,
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
  return hasher.digestBuffer().equals(checksum) ? null : 'wrong checksum';
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

/** Where the content of one extent goes. */
interface Target extends Disposable {
  /** Memory for the next chunk. */
  room(offsetBytes: number, lengthBytes: number): Buffer;
  /** Called when the chunk was read. @throws KernelCallError when it cannot be written. */
  take(chunk: Buffer, offsetBytes: number): void;
}

function targetOf(destination: ReadDestination): Target {
  return destination.kind === 'file'
    ? fileTarget(destination.path, destination.offsetBytes)
    : memoryTarget(Buffer.from(destination.memory));
}

function fileTarget(path: string, beginBytes: number): Target {
  const buffer = extentBuffer(CHUNK_BYTES);
  let fd: number;
  try {
    fd = openSync(path, 'r+');
  } catch (cause) {
    throw fromNodeError('open', cause, path);
  }
  return {
    room: (_, lengthBytes) => buffer.subarray(0, lengthBytes),
    take: (chunk, offsetBytes) => writeFully({ fd, path }, chunk, beginBytes + offsetBytes),
    [Symbol.dispose]: () => closeSync(fd),
  };
}

function memoryTarget(memory: Buffer): Target {
  return {
    room: (offsetBytes, lengthBytes) => memory.subarray(offsetBytes, offsetBytes + lengthBytes),
    take: () => {},
    [Symbol.dispose]: () => {},
  };
}
