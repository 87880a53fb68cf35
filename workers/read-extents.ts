/**
 * Piscina task: read extents, verify each, and bring the bytes where they are wanted.
 *
 * Chunk by chunk, so that what was read is still in the processor's cache when it is hashed and
 * written; through the page cache, which is asked for the next extents while one is worked on.
 */

import { closeSync, openSync } from 'node:fs';
import { Blake3Hasher } from '@napi-rs/blake-hash';
import { asMaintenanceError } from '../src/domain/errors.js';
import type {
  BadReplica,
  ReadExtent,
  ReadOutcome,
  ReadTask,
  ReplicaLocation,
} from '../src/domain/tasks.js';
import { KIB, MIB } from '../src/domain/units.js';
import { readFully, writeFully } from '../src/kernel/file-io.js';
import { fromNodeError } from '../src/kernel/kernel-error.js';
import { readAhead } from '../src/kernel/page-cache.js';
import { handOver } from './hand-over.js';
import { DiskFiles, extentBuffer } from './replica-io.js';
import { settle } from './settle.js';

/** Fits the second-level cache of every processor of the last ten years. */
const CHUNK_BYTES = 128 * KIB;
/** What a disk is kept busy with while a thread hashes. */
const AHEAD_BYTES = 16 * MIB;

type Destination = NonNullable<ReadExtent['destination']>;

export default async (task: ReadTask) => {
  const reply = await settle(() => readExtents(task));
  const contents = reply.ok ? reply.value.flatMap(({ data }) => (data ? [data.buffer] : [])) : [];
  return handOver(reply, contents);
};

/** @throws MaintenanceError when a destination cannot be written; bad replicas are an outcome. */
function readExtents({ extents }: ReadTask): ReadOutcome[] {
  using disks = new DiskFiles();
  let asked = 0;
  let aheadBytes = 0;
  return extents.map((extent) => {
    for (let next = extents[asked]; next && aheadBytes < AHEAD_BYTES; next = extents[asked]) {
      askAhead(next, disks);
      aheadBytes += next.sizeBytes;
      asked += 1;
    }
    aheadBytes -= extent.sizeBytes;
    return readExtent(extent, disks);
  });
}

function askAhead({ replicas: [first] }: ReadExtent, disks: DiskFiles): void {
  if (!first) return;
  try {
    const { file } = disks.open(first.path, 'read', false);
    for (const run of first.runs) readAhead(file, run);
  } catch {
    // Reading it says what is wrong, and takes another replica.
  }
}

function readExtent(extent: ReadExtent, disks: DiskFiles): ReadOutcome {
  const { extentId, sizeBytes, destination } = extent;
  const badReplicas: BadReplica[] = [];
  using target = destination ? fileTarget(destination) : memoryTarget(sizeBytes);
  for (const replica of extent.replicas) {
    const reason = readReplica(extent, replica, target, disks);
    if (reason === null) return { extentId, badReplicas, good: true, data: target.data };
    badReplicas.push({ diskId: replica.diskId, reason });
  }
  return { extentId, badReplicas, good: false, data: null };
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
  readonly data: Uint8Array | null;
}

function fileTarget({ path, offsetBytes: beginBytes }: Destination): Target {
  const buffer = extentBuffer(CHUNK_BYTES);
  let fd: number;
  try {
    fd = openSync(path, 'r+');
  } catch (cause) {
    throw fromNodeError('open', cause, path);
  }
  return {
    data: null,
    room: (_, lengthBytes) => buffer.subarray(0, lengthBytes),
    take: (chunk, offsetBytes) => writeFully({ fd, path }, chunk, beginBytes + offsetBytes),
    [Symbol.dispose]: () => closeSync(fd),
  };
}

function memoryTarget(sizeBytes: number): Target {
  // Not zeroed: every byte is read into, or the target is given up. Not pooled: it changes hands.
  const data = Buffer.allocUnsafeSlow(sizeBytes);
  return {
    data,
    room: (offsetBytes, lengthBytes) => data.subarray(offsetBytes, offsetBytes + lengthBytes),
    take: () => {},
    [Symbol.dispose]: () => {},
  };
}
