/** Where the content of one extent goes that a task reads. */

import { closeSync, openSync } from 'node:fs';
import type { ReadDestination } from '../src/domain/tasks.js';
import { writeFully } from '../src/kernel/file-io.js';
import { fromNodeError } from '../src/kernel/kernel-error.js';
import { extentBuffer } from './replica-io.js';

/** The other slots belong to whole extents. */
const CHUNK_SLOT = 0;
const WHOLE_SLOTS = 2;

export interface ReadTarget extends Disposable {
  /** Memory for the next chunk. */
  room(offsetBytes: number, lengthBytes: number): Buffer;
  /** Called when the chunk was read. @throws KernelCallError when it cannot be written. */
  take(chunk: Buffer, offsetBytes: number): void;
}

/**
 * Memory for a whole extent that begins at a page: where it is wanted, or on its way to a file. Of the
 * extents of a task two may be in use at a time, one after the other.
 */
export function wholeRoom(destination: ReadDestination, wholeBytes: number, index: number): Buffer {
  return destination.kind === 'memory'
    ? Buffer.from(destination.memory, 0, wholeBytes)
    : extentBuffer(wholeBytes, 1 + CHUNK_SLOT + (index % WHOLE_SLOTS));
}

/** @throws KernelCallError when there is no such file. */
export function openTarget(destination: ReadDestination, chunkBytes: number): ReadTarget {
  return destination.kind === 'file'
    ? fileTarget(destination.path, destination.offsetBytes, chunkBytes)
    : memoryTarget(Buffer.from(destination.memory));
}

function fileTarget(path: string, beginBytes: number, chunkBytes: number): ReadTarget {
  const buffer = extentBuffer(chunkBytes, CHUNK_SLOT);
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

function memoryTarget(memory: Buffer): ReadTarget {
  return {
    room: (offsetBytes, lengthBytes) => memory.subarray(offsetBytes, offsetBytes + lengthBytes),
    take: () => {},
    [Symbol.dispose]: () => {},
  };
}
