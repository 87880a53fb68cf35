/**
 * A lock that one process holds and that the kernel takes back when that process dies, however it
 * dies: no stale lock file to clean up, and no process id to mistrust.
 */

import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { constants as osConstants } from 'node:os';
import { kernelAddon } from './addon.js';
import { fromNodeError, KernelCallError } from './kernel-error.js';

/** Proof that the lock is held; only `tryLockFile` makes one. */
export interface FileLock extends Disposable {
  readonly path: string;
  /** Gives the lock up; does nothing when that has been done. */
  release(): void;
  /** Of the file that is locked, which may have another name, or none, by now. */
  inode(): number;
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

  return lockOpen(path, fd);
}

/** Whether somebody holds the lock of a file. False when it is gone. Others that ask are not in the way. */
export function isFileLocked(path: string): boolean {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw fromNodeError('open lock file', cause, path);
  }
  try {
    return kernelAddon().shareLock(fd) !== 0;
  } finally {
    closeSync(fd);
  }
}

/**
 * Takes the lock of a directory, which has to be there, without waiting for it.
 *
 * Of a mount's root it is seen by whoever has the file system mounted, in any container, and needs no
 * right but to read. While it is held the file system cannot be unmounted.
 *
 * @returns and @throws as `tryLockFile`.
 */
export function tryLockDirectory(path: string): FileLock | null {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (cause) {
    throw fromNodeError('open directory', cause, path);
  }
  return lockOpen(path, fd);
}

function lockOpen(path: string, fd: number): FileLock | null {
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
  const inode = fstatSync(fd).ino;
  return { path, release, inode: () => inode, [Symbol.dispose]: release };
}
