/** Moves the content of an extent between memory and the runs of one replica. */

import { closeSync, constants, openSync } from 'node:fs';
import { InvariantError, MaintenanceError } from '../src/domain/errors.js';
import type { ReplicaLocation } from '../src/domain/tasks.js';
import { roundUp, totalBytes } from '../src/domain/units.js';
import { ALIGNMENT_BYTES, alignedBuffer } from '../src/kernel/aligned-buffer.js';
import { writeFully } from '../src/kernel/file-io.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { fromNodeError, KernelCallError } from '../src/kernel/kernel-error.js';
import { TransferBatch, type TransferRequest } from '../src/kernel/transfer-batch.js';

const EIO = 5;

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

const buffers: Buffer[] = [];

/**
 * Aligned buffers, several per thread so that some are filled while another is used; each task runs
 * alone. As large as the largest extent seen.
 */
export function extentBuffer(sizeBytes: number, slot = 0): Buffer {
  const neededBytes = Math.max(ALIGNMENT_BYTES, roundUp(sizeBytes, ALIGNMENT_BYTES));
  let buffer = buffers[slot];
  if (!buffer || buffer.length < neededBytes) {
    buffer = alignedBuffer(neededBytes);
    buffers[slot] = buffer;
  }
  return buffer.subarray(0, neededBytes);
}

/** Begins to fill `whole` (whole blocks) from the runs of a replica, of which several are read at a time. */
export function beginReadRuns(
  file: OpenFile,
  replica: ReplicaLocation,
  whole: Buffer,
): TransferBatch {
  return TransferBatch.read(requestsOf(file, replica, whole), whole);
}

/** Waits for what `beginReadRuns` began. @throws KernelCallError the first there is. */
export function finishReadRuns(
  file: OpenFile,
  replica: ReplicaLocation,
  batch: TransferBatch,
): void {
  for (const [index, result] of batch.finish().entries()) {
    checkRead({ file, lengthBytes: replica.runs[index]?.lengthBytes ?? 0 }, result);
  }
}

/** @throws KernelCallError when a request did not bring all that it was asked for. */
export function checkRead(
  { file, lengthBytes }: Pick<TransferRequest, 'file' | 'lengthBytes'>,
  result: number | KernelCallError,
): void {
  if (typeof result !== 'number') throw result;
  if (result < lengthBytes) throw new KernelCallError('read past the end of', EIO, file.path);
}

/** Waits for a batch of writes. @throws KernelCallError the first there is. */
export function finishWrites(batch: TransferBatch): void {
  const failure = batch.finish().find((result) => typeof result !== 'number');
  if (failure) throw failure;
}

/** Fills `whole` from the runs of a replica. @throws as `finishReadRuns`. */
export function readRuns(file: OpenFile, replica: ReplicaLocation, whole: Buffer): void {
  finishReadRuns(file, replica, beginReadRuns(file, replica, whole));
}

/**
 * To move all of `whole` (whole blocks) from or to the runs of a replica.
 *
 * @param pieceBytes longer runs in several requests, whole blocks each.
 */
export function requestsOf(
  file: OpenFile,
  replica: ReplicaLocation,
  whole: Buffer,
  pieceBytes = Number.POSITIVE_INFINITY,
): TransferRequest[] {
  checkLength(replica, whole);
  const requests: TransferRequest[] = [];
  let bufferBytes = 0;
  for (const { startBytes, lengthBytes: runBytes } of replica.runs) {
    for (let at = 0; at < runBytes; at += pieceBytes) {
      const lengthBytes = Math.min(pieceBytes, runBytes - at);
      requests.push({ file, atBytes: startBytes + at, lengthBytes, bufferBytes });
      bufferBytes += lengthBytes;
    }
  }
  return requests;
}

/** Whatever `readingAhead` begins. */
export interface Begun {
  /** Waits for the disk, whatever came of it; again for nothing. */
  settle(): void;
}

/**
 * Goes through `items` in order, each with what was begun for it; the next are begun before one is used,
 * so that the disk works while this thread does.
 *
 * @param begin fills the buffer of a slot, of which there is one more than are begun ahead.
 * @param aheadMax how many are begun before one is used.
 * @param aheadNow as many at the moment, from 1; asked before each.
 * @throws the first of what `begin` and `use` throw; nothing is under way any more then.
 */
export function readingAhead<T, R extends Begun>(
  items: readonly T[],
  begin: (item: T, slot: number) => R,
  use: (item: T, begun: R) => void,
  aheadMax = 1,
  aheadNow: () => number = () => aheadMax,
): void {
  const ahead: R[] = [];
  let nextIndex = 0;
  const beginUntil = (endIndex: number) => {
    for (; nextIndex < Math.min(items.length, endIndex); nextIndex += 1) {
      ahead.push(begin(items[nextIndex] as T, nextIndex % (aheadMax + 1)));
    }
  };
  try {
    for (const [index, item] of items.entries()) {
      beginUntil(index + aheadNow());
      const [begun] = ahead;
      if (!begun) throw new InvariantError('nothing was begun');
      begun.settle();
      beginUntil(index + 1 + aheadNow());
      use(item, begun);
      ahead.shift();
    }
  } finally {
    // After an error they may still be filling their buffers.
    for (const begun of ahead) begun.settle();
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
