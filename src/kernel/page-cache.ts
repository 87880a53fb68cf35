/** What the page cache holds of a file, and what it shall. */

import { fstatSync, readFileSync } from 'node:fs';
import { type ByteRun, KIB } from '../domain/units.js';
import { kernelAddon } from './addon.js';
import { deviceName } from './device-number.js';
import { type OpenFile, rangeArguments } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';

/**
 * Drops the cached pages of a run, so that verifying reads what the disk really has.
 *
 * Dirty pages stay cached: flush the file first. Pages that a program has mapped stay as well.
 *
 * Source: posix_fadvise(2) (POSIX_FADV_DONTNEED).
 */
export function dropPageCache(file: OpenFile, run: ByteRun): void {
  const errno = kernelAddon().dropPageCache(file.fd, ...rangeArguments(run));
  if (errno !== 0) throw new KernelCallError('drop page cache', errno, file.path);
}

/**
 * Begins to read a run into the page cache and returns at once. A hint: no failure is one of ours.
 *
 * Source: posix_fadvise(2) (POSIX_FADV_WILLNEED).
 */
export function readAhead(file: OpenFile, run: ByteRun): void {
  kernelAddon().readAhead(file.fd, ...rangeArguments(run));
}

const readAheadByDevice = new Map<number, number>();

/**
 * How far the kernel reads ahead of a sequential reader of this file.
 *
 * @returns 0 where it cannot be told: on file systems that have no block device of their own.
 *
 * Source: Documentation/ABI/stable/sysfs-block (read_ahead_kb), which a partition has not.
 */
export function kernelReadAheadBytes(file: OpenFile): number {
  const status = fstatSync(file.fd);
  const device = status.isBlockDevice() ? status.rdev : status.dev;
  let aheadBytes = readAheadByDevice.get(device);
  if (aheadBytes === undefined) {
    const own = `/sys/dev/block/${deviceName(device)}`;
    aheadBytes =
      kibInFile(`${own}/queue/read_ahead_kb`) ?? kibInFile(`${own}/../queue/read_ahead_kb`) ?? 0;
    readAheadByDevice.set(device, aheadBytes);
  }
  return aheadBytes;
}

function kibInFile(path: string): number | null {
  try {
    return Number(readFileSync(path, 'utf8')) * KIB;
  } catch {
    return null;
  }
}

/**
 * Makes reads through this descriptor cache single pages: EXT4_IOC_MOVE_EXT works page by page and
 * takes 70 times as long where a page is part of a large folio.
 *
 * Source: posix_fadvise(2) (POSIX_FADV_RANDOM).
 */
export function adviseRandom(file: OpenFile): void {
  const errno = kernelAddon().adviseRandom(file.fd);
  if (errno !== 0) throw new KernelCallError('advise about', errno, file.path);
}
