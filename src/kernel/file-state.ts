/** What a file is and where it lies, asked of an open descriptor. */

import { fstatSync } from 'node:fs';
import { constants } from 'node:os';
import type { MappingRecords } from '../domain/move-plan.js';
import type { FileMark } from '../domain/move-tasks.js';
import type { ByteRun } from '../domain/units.js';
import { kernelAddon } from './addon.js';
import { type OpenFile, rangeArguments } from './kernel-call.js';
import { fromNodeError, KernelCallError } from './kernel-error.js';

const NS_PER_MS = 1_000_000n;

export interface FileStatus {
  readonly mark: FileMark;
  readonly isRegularFile: boolean;
  readonly deviceNumber: number;
  readonly inode: bigint;
  readonly userId: number;
  readonly groupId: number;
  readonly blockBytes: number;
  /** The later of mtime and ctime, since the epoch. */
  readonly changedAtMs: number;
}

/** Source: fstat(2). */
export function fileStatus(file: OpenFile): FileStatus {
  try {
    const status = fstatSync(file.fd, { bigint: true });
    const { mtimeNs, ctimeNs } = status;
    return {
      mark: {
        sizeBytes: Number(status.size),
        mtimeNs: mtimeNs.toString(),
        ctimeNs: ctimeNs.toString(),
      },
      isRegularFile: status.isFile(),
      deviceNumber: Number(status.dev),
      inode: status.ino,
      userId: Number(status.uid),
      groupId: Number(status.gid),
      blockBytes: Number(status.blksize),
      changedAtMs: Number((mtimeNs > ctimeNs ? mtimeNs : ctimeNs) / NS_PER_MS),
    };
  } catch (cause) {
    throw fromNodeError('look at', cause, file.path);
  }
}

/** @returns STATX_ATTR bits, 0 where the file system knows none. Source: statx(2). */
export function fileAttributes(file: OpenFile): number {
  const { errno, attributes } = kernelAddon().fileAttributes(file.fd);
  if (errno !== 0) throw new KernelCallError('look at', errno, file.path);
  return Number(attributes);
}

/** Source: fgetxattr(2). */
export function hasExtendedAttribute(file: OpenFile, name: string): boolean {
  const errno = kernelAddon().hasExtendedAttribute(file.fd, name);
  if (errno === 0) return true;
  if (errno === constants.errno.ENODATA || errno === constants.errno.EOPNOTSUPP) return false;
  throw new KernelCallError('read attributes of', errno, file.path);
}

/**
 * Lists the mappings that touch a run, in the order of the file.
 *
 * Not flushed before: what waits for its place on the disk is listed as delayed.
 *
 * Source: Documentation/filesystems/fiemap.rst.
 */
export function fileMappings(file: OpenFile, run: ByteRun): MappingRecords {
  const { errno, records } = kernelAddon().fileMappings(file.fd, ...rangeArguments(run));
  if (errno !== 0) throw new KernelCallError('read the map of', errno, file.path);
  return records;
}

/** To the nanosecond, which Node.js rounds; the access time stays. Source: futimens(3). */
export function setModifiedTime(file: OpenFile, mtimeNs: string): void {
  const errno = kernelAddon().setModifiedTime(file.fd, BigInt(mtimeNs));
  if (errno !== 0) throw new KernelCallError('set the time of', errno, file.path);
}
