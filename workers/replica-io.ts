/** Moves the content of an extent between memory and the runs of one replica. */

import { closeSync, constants, openSync } from 'node:fs';
import { MaintenanceError } from '../src/domain/errors.js';
import type { ReplicaLocation } from '../src/domain/tasks.js';
import { roundUp, totalBytes } from '../src/domain/units.js';
import { ALIGNMENT_BYTES, alignedBuffer } from '../src/kernel/aligned-buffer.js';
import { readFullyAsync, writeFully, writeFullyAsync } from '../src/kernel/file-io.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { fromNodeError } from '../src/kernel/kernel-error.js';

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
 * Aligned buffers, two per thread so that one is filled while the other is used; each task runs
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

/** Fills `whole` (whole blocks) from the runs of a replica, of which several are read at a time. */
export async function readRuns(
  file: OpenFile,
  replica: ReplicaLocation,
  whole: Buffer,
): Promise<void> {
  checkLength(replica, whole);
  let at = 0;
  const reads = replica.runs.map((run) => {
    const part = whole.subarray(at, at + run.lengthBytes);
    at += run.lengthBytes;
    return readFullyAsync(file, part, run.startBytes);
  });
  // All have ended when this does, well or not: nothing may write into the buffer afterwards.
  const failure = (await Promise.allSettled(reads)).find((read) => read.status === 'rejected');
  if (failure) throw failure.reason;
}

/**
 * Goes through `items` in order, each with what `begin` found for it; the next is begun before one is
 * used, so that the disk works while this thread does.
 *
 * @param begin fills the buffer of a slot, 0 or 1.
 * @throws the first of what `begin` and `use` throw; nothing is under way any more then.
 */
export async function readingAhead<T, R>(
  items: readonly T[],
  begin: (item: T, slot: number) => Promise<R>,
  use: (item: T, found: R) => Promise<void> | void,
): Promise<void> {
  const beginAt = (index: number) => {
    const item = items[index];
    if (item === undefined) return null;
    const found = begin(item, index % 2);
    // Handled where it is awaited; until then a failure must not count as unhandled.
    found.catch(() => {});
    return found;
  };
  let next = beginAt(0);
  for (const [index, item] of items.entries()) {
    const found = (await next) as R;
    next = beginAt(index + 1);
    try {
      await use(item, found);
    } catch (cause) {
      // It may still be filling its buffer.
      await next?.catch(() => {});
      throw cause;
    }
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

/** As `writeRuns`, while the thread that asks does something else; it must not change `whole` then. */
export async function writeRunsAsync(
  file: OpenFile,
  replica: ReplicaLocation,
  whole: Buffer,
): Promise<void> {
  checkLength(replica, whole);
  let at = 0;
  for (const run of replica.runs) {
    await writeFullyAsync(file, whole.subarray(at, at + run.lengthBytes), run.startBytes);
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
