/**
 * A lock that one process holds and that the kernel takes back when that process dies, however it
 * dies: no stale lock file to clean up, and no process id to mistrust.
 */

import { closeSync, constants, openSync } from 'node:fs';
import { constants as osConstants } from 'node:os';
import { kernelAddon } from './addon.js';
import { fromNodeError, KernelCallError } from './kernel-error.js';

/** Proof that the lock is held; only `tryLockFile` makes one. */
export interface FileLock extends Disposable {
  readonly path: string;
  /** Gives the lock up; does nothing when that has been done. */
  release(): void;
}

/**
 * Takes the lock of a file, which is created if need be, without waiting for it.
 *
 * The file is never deleted: whoever had opened it before would lock a file without a name while
 * the next one locks a new file, and both would think themselves alone.
 *
 * @returns `null` when another process, or another lock in this one, holds it.
 * @throws KernelCallError when the file cannot be opened, or its file system has no locks.
 *
 * Source: flock(2).
 */
export function tryLockFile(path: string): FileLock | null {
  let fd: number;
  try {
    // Node opens everything with O_CLOEXEC: a child that inherited the lock would keep it held.
    fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  } catch (cause) {
    throw fromNodeError('open lock file', cause, path);
  }

  const errno = kernelAddon().lockFile(fd);
  if (errno === 0) return heldLock(path, fd);
  closeSync(fd);
  if (errno === osConstants.errno.EWOULDBLOCK) return null;
  throw new KernelCallError('lock file', errno, path);
}

function heldLock(path: string, fd: number): FileLock {
  let held = true;
  const release = (): void => {
    if (!held) return;
    held = false;
    closeSync(fd);
  };
  return { path, release, [Symbol.dispose]: release };
}
