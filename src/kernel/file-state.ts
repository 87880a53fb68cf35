/** What a file is and where it lies, asked of an open descriptor. */

import { constants } from 'node:os';
import type { MappingRecords } from '../domain/move-plan.js';
import type { FileMark } from '../domain/move-tasks.js';
import type { ByteRun } from '../domain/units.js';
import { kernelAddon } from './addon.js';
import { type OpenFile, rangeArguments } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';

const LOOK_FIELDS = 10;
const MAPPING_FIELDS = 4;

export interface FileStatus {
  readonly mark: FileMark;
  readonly isRegularFile: boolean;
  readonly deviceNumber: number;
  readonly inode: bigint;
  readonly userId: number;
  readonly groupId: number;
  readonly blockBytes: number;
  /** STATX_ATTR bits, 0 where the file system knows none. */
  readonly attributes: number;
  /** The later of mtime and ctime, since the epoch. */
  readonly changedAtMs: number;
  /** Whether it has the extended attribute that was asked for. */
  readonly hasAttribute: boolean;
}

/** Source: statx(2). */
export function fileStatus(file: OpenFile): FileStatus {
  const [status] = lookAtFiles([file]);
  if (!status || status instanceof KernelCallError) throw status;
  return status;
}

/**
 * @param attribute the name of an extended attribute to look for.
 * @returns per file what it is, or why that is not told.
 *
 * Source: statx(2), fgetxattr(2).
 */
export function lookAtFiles(
  files: readonly OpenFile[],
  attribute = '',
): (FileStatus | KernelCallError)[] {
  const { numbers, inodes, times } = kernelAddon().lookAtFiles(descriptorsOf(files), attribute);
  return files.map((file, index) => {
    const field = (offset: number): number => numbers[index * LOOK_FIELDS + offset] ?? 0;
    const error = field(0);
    if (error !== 0) return new KernelCallError('look at', error, file.path);
    const attributeError = field(1);
    if (!ATTRIBUTE_ANSWERS.has(attributeError)) {
      return new KernelCallError('read attributes of', attributeError, file.path);
    }
    const [mtimeNs = '', ctimeNs = ''] = [times[2 * index], times[2 * index + 1]];
    return {
      mark: { sizeBytes: field(3), mtimeNs, ctimeNs },
      isRegularFile: field(2) === 1,
      deviceNumber: field(4),
      inode: inodes[index] ?? 0n,
      userId: field(5),
      groupId: field(6),
      blockBytes: field(7),
      attributes: field(8),
      changedAtMs: field(9),
      hasAttribute: attributeError === 0,
    };
  });
}

/** That it is there, is not, or that the file system has none. */
const ATTRIBUTE_ANSWERS = new Set([0, constants.errno.ENODATA, constants.errno.EOPNOTSUPP]);

/** @throws KernelCallError. Source: fstatfs(2). */
export function freeBytesOf(file: OpenFile): number {
  const freeBytes = kernelAddon().freeBytes(file.fd);
  if (freeBytes < 0) throw new KernelCallError('ask for the free space of', -freeBytes, file.path);
  return freeBytes;
}

function descriptorsOf(files: readonly OpenFile[]): Int32Array {
  const fds = new Int32Array(files.length);
  for (let index = 0; index < files.length; index += 1) fds[index] = files[index]?.fd ?? -1;
  return fds;
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

/**
 * Writes back what is dirty, as `finishWriteBack`, and lists all mappings, for many files at once.
 *
 * @returns per file its mappings, or the error: EIO when a page could not be written, told once.
 *
 * Source: sync_file_range(2), Documentation/filesystems/fiemap.rst.
 */
export function flushAndMapFiles(files: readonly OpenFile[]): (MappingRecords | KernelCallError)[] {
  const { errnos, counts, records } = kernelAddon().flushAndMapFiles(descriptorsOf(files));
  let at = 0;
  return files.map((file, index) => {
    const from = at;
    at += MAPPING_FIELDS * (counts[index] ?? 0);
    const [flushError = 0, mapError = 0] = [errnos[2 * index], errnos[2 * index + 1]];
    if (flushError !== 0) return new KernelCallError('write back', flushError, file.path);
    if (mapError !== 0) return new KernelCallError('read the map of', mapError, file.path);
    return records.subarray(from, at);
  });
}

/** To the nanosecond, which Node.js rounds; the access time stays. Source: futimens(3). */
export function setModifiedTime(file: OpenFile, mtimeNs: string): void {
  const errno = kernelAddon().setModifiedTime(file.fd, BigInt(mtimeNs));
  if (errno !== 0) throw new KernelCallError('set the time of', errno, file.path);
}
