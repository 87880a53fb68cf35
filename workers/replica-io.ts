/** Moves the content of an extent between memory and the runs of one replica. */

import { closeSync, constants, openSync } from 'node:fs';
import { MaintenanceError } from '../src/domain/errors.js';
import type { ReplicaLocation } from '../src/domain/tasks.js';
import { KIB, roundUp, totalBytes } from '../src/domain/units.js';
import { alignedBuffer } from '../src/kernel/aligned-buffer.js';
import { readFully, writeFully } from '../src/kernel/file-io.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { fromNodeError } from '../src/kernel/kernel-error.js';

const BLOCK_BYTES = 4 * KIB;

export type Access = 'read' | 'write';

export interface Replica extends Disposable {
  readonly file: OpenFile;
  /** Whether reads go past the page cache. */
  readonly direct: boolean;
}

/**
 * Opens a disk's file past the page cache (O_DIRECT), or through it where the file system cannot.
 *
 * Source: open(2), O_DIRECT: EINVAL when the file system does not support it.
 */
export function openReplica(path: string, access: Access, direct: boolean): Replica {
  const flags = access === 'read' ? constants.O_RDONLY : constants.O_RDWR;
  let fd: number;
  let isDirect = direct;
  try {
    fd = openSync(path, direct ? flags | constants.O_DIRECT : flags);
  } catch (cause) {
    if (!direct || (cause as NodeJS.ErrnoException).code !== 'EINVAL') {
      throw fromNodeError('open', cause, path);
    }
    fd = openSync(path, flags);
    isDirect = false;
  }
  return { file: { fd, path }, direct: isDirect, [Symbol.dispose]: () => closeSync(fd) };
}

/** The disks that one task uses, each opened once. */
export class DiskFiles implements Disposable {
  readonly #open = new Map<string, Replica>();

  /** @throws KernelCallError when the disk cannot be opened. */
  open(path: string, access: Access, direct: boolean): Replica {
    const key = `${access} ${direct} ${path}`;
    let replica = this.#open.get(key);
    if (!replica) {
      replica = openReplica(path, access, direct);
      this.#open.set(key, replica);
    }
    return replica;
  }

  [Symbol.dispose](): void {
    for (const replica of this.#open.values()) replica[Symbol.dispose]();
  }
}

let buffer: Buffer | null = null;

/** One aligned buffer per thread, as large as the largest extent seen; each task runs alone. */
export function extentBuffer(sizeBytes: number): Buffer {
  const neededBytes = Math.max(BLOCK_BYTES, roundUp(sizeBytes, BLOCK_BYTES));
  if (!buffer || buffer.length < neededBytes) buffer = alignedBuffer(neededBytes);
  return buffer.subarray(0, neededBytes);
}

/** Fills `whole` (whole blocks) from the runs of a replica. */
export function readRuns(file: OpenFile, replica: ReplicaLocation, whole: Buffer): void {
  checkLength(replica, whole);
  let at = 0;
  for (const run of replica.runs) {
    readFully(file, whole.subarray(at, at + run.lengthBytes), run.startBytes);
    at += run.lengthBytes;
  }
}

/** Writes `whole` (whole blocks, zeros behind the content) to the runs of a replica. */
export function writeRuns(file: OpenFile, replica: ReplicaLocation, whole: Buffer): void {
  checkLength(replica, whole);
  let at = 0;
  for (const run of replica.runs) {
    writeFully(file, whole.subarray(at, at + run.lengthBytes), run.startBytes);
    at += run.lengthBytes;
  }
}

function checkLength(replica: ReplicaLocation, whole: Buffer): void {
  if (totalBytes(replica.runs) !== whole.length) {
    throw new MaintenanceError(
      'ERR_INVARIANT',
      `replica on disk ${replica.diskId} has a wrong length`,
    );
  }
}
