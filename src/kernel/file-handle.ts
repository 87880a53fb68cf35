/** Opens files by their handle, which names a file and never a path. */

import { closeSync, constants, readlinkSync } from 'node:fs';
import { kernelAddon } from './addon.js';
import type { OpenFile } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';

/**
 * Never waits for the other end of a pipe, never takes a terminal, leaves the access time alone:
 * what the handle names may have become anything.
 */
const SAFE_FLAGS =
  constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY | constants.O_NOATIME;

/** Disposing closes it. */
export interface HandleFile extends OpenFile, Disposable {}

/**
 * Opens the file of a handle: no path is walked, so nobody can lead it anywhere else.
 *
 * @param mount an open file or directory of the file system.
 * @param handle hex: one byte type, then the handle as open_by_handle_at(2) takes it.
 * @param access O_RDONLY or O_RDWR, O_DIRECT with either.
 * @throws KernelCallError ESTALE (the file is gone), EPERM without CAP_DAC_READ_SEARCH, EINVAL (also
 *   for what is no handle).
 */
export function openByHandle(mount: OpenFile, handle: string, access: number): HandleFile {
  const [file] = openByHandles(mount, [handle], access);
  if (file instanceof FileOfHandle) return file;
  throw file;
}

/** The same for many at once, in order: each as `openByHandle` would return or throw it. */
export function openByHandles(
  mount: OpenFile,
  handles: readonly string[],
  access: number,
): (HandleFile | KernelCallError)[] {
  const fds = kernelAddon().openByHandles(mount.fd, handles, access | SAFE_FLAGS);
  return handles.map((handle, index) => {
    const fd = fds[index] ?? 0;
    if (fd >= 0) return new FileOfHandle(fd, mount.path, handle);
    return new KernelCallError('open', -fd, nameOf(handle, mount.path));
  });
}

class FileOfHandle implements HandleFile {
  readonly fd: number;
  readonly #mountPath: string;
  readonly #handle: string;
  #path: string | null = null;

  constructor(fd: number, mountPath: string, handle: string) {
    this.fd = fd;
    this.#mountPath = mountPath;
    this.#handle = handle;
  }

  /** For people; only looked for when somebody asks, since few files get into an error. */
  get path(): string {
    this.#path ??= pathOf(this.fd, this.#mountPath) ?? nameOf(this.#handle, this.#mountPath);
    return this.#path;
  }

  /** The descriptor may be another file's from here on. */
  [Symbol.dispose](): void {
    this.#path ??= nameOf(this.#handle, this.#mountPath);
    closeSync(this.fd);
  }
}

/** Where the kernel knows the file by now; null when that is nowhere below the mount. */
function pathOf(fd: number, mountPath: string): string | null {
  const prefix = mountPath === '/' ? '/' : `${mountPath}/`;
  try {
    const path = readlinkSync(`/proc/self/fd/${fd}`);
    return path.startsWith(prefix) && path !== prefix ? path : null;
  } catch {
    return null;
  }
}

function nameOf(handle: string, mountPath: string): string {
  return `file ${handle} of ${mountPath}`;
}

/** @returns the handle of an open file, as `openByHandle` takes it. Source: name_to_handle_at(2). */
export function handleOf(file: OpenFile): string {
  const { errno, type, handle } = kernelAddon().fileHandle(file.fd);
  if (errno !== 0) throw new KernelCallError('name the handle of', errno, file.path);
  return Buffer.concat([Buffer.of(type), handle]).toString('hex');
}
