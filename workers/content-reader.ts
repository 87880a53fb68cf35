/** Opens files so that what is read of them is what the disk has. */

import { closeSync, constants, openSync } from 'node:fs';
import { asMaintenanceError, type MaintenanceError } from '../src/domain/errors.js';
import { type HandleFile, openByHandle, openByHandles } from '../src/kernel/file-handle.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { fromNodeError, KernelCallError } from '../src/kernel/kernel-error.js';

export interface ContentReader extends Disposable {
  readonly file: OpenFile;
  /** Whether it reads past the page cache. */
  readonly direct: boolean;
}

/** Opens a file again so that what is read comes from the disk and leaves nothing in the cache. */
export function openFromDisk(mount: OpenFile, handle: string): ContentReader {
  return openPastCache((flag) => openByHandle(mount, handle, constants.O_RDONLY | flag));
}

/** The same for many: each as `openFromDisk` would return or throw it. */
export function openAllFromDisk(
  mount: OpenFile,
  handles: readonly string[],
): (ContentReader | MaintenanceError)[] {
  const access = constants.O_RDONLY | constants.O_DIRECT;
  return openByHandles(mount, handles, access).map((file, index) => {
    if (!(file instanceof KernelCallError)) return readerOf(file, true);
    try {
      // Once more, in the way of a file system without O_DIRECT.
      return openFromDisk(mount, handles[index] ?? '');
    } catch (cause) {
      return asMaintenanceError(cause);
    }
  });
}

/** The same for a file that is open. */
export function openReader({ fd, path }: OpenFile): ContentReader {
  return openPastCache((flag) => {
    try {
      const opened = openSync(`/proc/self/fd/${fd}`, constants.O_RDONLY | flag);
      return { fd: opened, path, [Symbol.dispose]: () => closeSync(opened) };
    } catch (cause) {
      throw fromNodeError('open', cause, path);
    }
  });
}

/** Through the cache where the file system has no O_DIRECT: the caller drops it first. */
function openPastCache(open: (flag: number) => HandleFile): ContentReader {
  try {
    return readerOf(open(constants.O_DIRECT), true);
  } catch (cause) {
    if (!(cause instanceof KernelCallError) || cause.details.errnoName !== 'EINVAL') throw cause;
    return readerOf(open(0), false);
  }
}

function readerOf(file: HandleFile, direct: boolean): ContentReader {
  return { file, direct, [Symbol.dispose]: () => file[Symbol.dispose]() };
}
