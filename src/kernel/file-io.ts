/** pread(2) and pwrite(2) until all bytes are through: a call may end early and report no error. */

import { closeSync, fdatasyncSync, readSync, writeSync } from 'node:fs';
import { kernelAddon } from './addon.js';
import type { OpenFile } from './kernel-call.js';
import { fromNodeError, KernelCallError } from './kernel-error.js';

const EIO = 5;

/** @throws KernelCallError, ENOSPC among others; part of the bytes may be written then. */
export function writeFully(file: OpenFile, bytes: Uint8Array, atBytes: number): void {
  try {
    let doneBytes = 0;
    while (doneBytes < bytes.length) {
      const [rest, at] = [bytes.subarray(doneBytes), atBytes + doneBytes];
      doneBytes += file.io?.write(file, rest, at) ?? writeSync(file.fd, rest, 0, rest.length, at);
    }
  } catch (cause) {
    throw fromNodeError('write', cause, file.path);
  }
}

/** @throws KernelCallError; EIO when the file ends before `bytes` is full. */
export function readFully(file: OpenFile, bytes: Uint8Array, atBytes: number): void {
  if (readUpTo(file, bytes, atBytes) < bytes.length) {
    throw new KernelCallError('read past the end of', EIO, file.path);
  }
}

/** @returns how many bytes there were: fewer than asked only at the end of the file. */
export function readUpTo(file: OpenFile, bytes: Uint8Array, atBytes: number): number {
  try {
    let doneBytes = 0;
    while (doneBytes < bytes.length) {
      const [rest, at] = [bytes.subarray(doneBytes), atBytes + doneBytes];
      const readBytes =
        file.io?.read(file, rest, at) ?? readSync(file.fd, rest, 0, rest.length, at);
      if (readBytes === 0) break;
      doneBytes += readBytes;
    }
    return doneBytes;
  } catch (cause) {
    throw fromNodeError('read', cause, file.path);
  }
}

/** Source: fdatasync(2). An error here is final: the kernel reports a lost write once. */
export function syncData(file: OpenFile): void {
  try {
    if (file.io) file.io.flush(file);
    else fdatasyncSync(file.fd);
  } catch (cause) {
    throw fromNodeError('flush', cause, file.path);
  }
}

/** As `syncData`, without blocking the thread that asks. */
export async function syncDataAsync({ fd, path }: OpenFile): Promise<void> {
  const errno = await kernelAddon().flushFile(fd);
  if (errno !== 0) throw new KernelCallError('flush', errno, path);
}

export function closeFile({ fd, io }: OpenFile): void {
  if (io) io.closeFile(fd);
  else closeSync(fd);
}
