/** Opens files by their handle, which names a file and never a path. */

import { constants, readlinkSync } from 'node:fs';
import { InvariantError } from '../domain/errors.js';
import { kernelAddon } from './addon.js';
import type { OpenFile } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';

/**
 * Never waits for the other end of a pipe, never takes a terminal, leaves the access time alone:
 * what the handle names may have become anything.
 */
const SAFE_FLAGS = constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

/**
 * Opens the file of a handle: no path is walked, so nobody can lead it anywhere else.
 *
 * @param mount an open file or directory of the file system.
 * @param handle hex: one byte type, then the handle as open_by_handle_at(2) takes it.
 * @param access O_RDONLY or O_RDWR, O_DIRECT with either.
 * @throws KernelCallError ESTALE (the file is gone), EPERM without CAP_DAC_READ_SEARCH.
 */
export function openByHandle(mount: OpenFile, handle: string, access: number): OpenFile {
  const bytes = Buffer.from(handle, 'hex');
  const type = bytes[0];
  if (type === undefined || bytes.length * 2 !== handle.length) {
    throw new InvariantError(`not a file handle: ${handle}`);
  }
  const flags = access | SAFE_FLAGS | constants.O_NOATIME;
  const reply = kernelAddon().openByHandle(mount.fd, type, bytes.subarray(1), flags);
  const path = `file ${handle} of ${mount.path}`;
  if (reply.errno !== 0) throw new KernelCallError('open', reply.errno, path);
  return { fd: reply.fd, path: pathOf(reply.fd, mount.path) ?? path };
}

/** For people: where the kernel knows the file by now; null when that is nowhere below the mount. */
function pathOf(fd: number, mountPath: string): string | null {
  const prefix = mountPath === '/' ? '/' : `${mountPath}/`;
  try {
    const path = readlinkSync(`/proc/self/fd/${fd}`);
    return path.startsWith(prefix) && path !== prefix ? path : null;
  } catch {
    return null;
  }
}

/** @returns the handle of an open file, as `openByHandle` takes it. Source: name_to_handle_at(2). */
export function handleOf(file: OpenFile): string {
  const { errno, type, handle } = kernelAddon().fileHandle(file.fd);
  if (errno !== 0) throw new KernelCallError('name the handle of', errno, file.path);
  return Buffer.concat([Buffer.of(type), handle]).toString('hex');
}
