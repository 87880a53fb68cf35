/**
 * `.dynamicfs` at the root of a mount: where donors have their names, root's alone.
 *
 * Beside the file would be a directory that its users own, rename and watch. Everything is opened
 * below descriptors that were checked, so that no link leads out of the file system.
 */

import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
} from 'node:fs';
import { constants as osConstants } from 'node:os';
import { InvariantError, MaintenanceError } from '../domain/errors.js';
import type { MoveMount } from '../domain/move-tasks.js';
import type { ByteRun } from '../domain/units.js';
import { kernelAddon } from './addon.js';
import { type OpenFile, rangeArguments } from './kernel-call.js';
import { fromNodeError, KernelCallError } from './kernel-error.js';

export const DONOR_DIRECTORY = '.dynamicfs';

/** One optional directory and a name; nothing that could lead elsewhere. */
const DONOR_NAME = /^(?:ag\d+\/)?[A-Za-z0-9-]+$/;
const OPEN_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

export interface DirectoryHandle extends OpenFile, Disposable {}

/** @throws MaintenanceError ERR_DISK_UNAVAILABLE when something else is mounted there now. */
export function openMount({ mountPath, deviceNumber }: MoveMount): DirectoryHandle {
  const mount = openDirectory(mountPath, mountPath);
  if (fstatSync(mount.fd).dev === deviceNumber) return mount;
  mount[Symbol.dispose]();
  throw new MaintenanceError('ERR_DISK_UNAVAILABLE', `${mountPath} is not mounted any more`, {
    nextStep: 'Mount it again; what was not moved yet can be moved then.',
  });
}

/**
 * @param create makes it when it is not there.
 * @returns null when it is not there and not to be made.
 * @throws MaintenanceError ERR_PERMISSION when it is somebody else's or open to others.
 */
export function openDonorDirectory(mount: OpenFile, create: boolean): DirectoryHandle | null {
  const label = `${mount.path}/${DONOR_DIRECTORY}`;
  const path = `${below(mount)}/${DONOR_DIRECTORY}`;
  if (create) makeDirectory(path, label);
  else if (!exists(path)) return null;
  const directory = openDirectory(path, label);
  const { uid, mode, dev } = fstatSync(directory.fd);
  const isOurs = uid === process.geteuid?.() && (mode & 0o077) === 0;
  if (isOurs && dev === fstatSync(mount.fd).dev) return directory;
  directory[Symbol.dispose]();
  throw new MaintenanceError('ERR_PERMISSION', `${label} is not ours alone`, {
    nextStep: `Remove it, or give it to root with mode 700: dynamicfs keeps old blocks in it.`,
  });
}

/** Opens a donor that is there, or makes one that is not. @throws KernelCallError. */
export function openDonor(directory: OpenFile, name: string, create: boolean): OpenFile {
  checkName(name);
  const label = `${directory.path}/${name}`;
  const flags = constants.O_RDWR | constants.O_NOFOLLOW;
  const made = create ? constants.O_CREAT | constants.O_EXCL : 0;
  try {
    return { fd: openSync(`${below(directory)}/${name}`, flags | made, 0o600), path: label };
  } catch (cause) {
    throw fromNodeError('open donor', cause, label);
  }
}

/**
 * Makes a donor that shares a range of a file, closed.
 *
 * @param run whole blocks, or up to the end of the file.
 * @throws KernelCallError ERR_UNSUPPORTED when the two cannot share: only one keeps checksums.
 */
export function makeClone(directory: OpenFile, name: string, file: OpenFile, run: ByteRun): void {
  checkName(name);
  const range = rangeArguments(run);
  const errno = kernelAddon().cloneToNewFile(directory.fd, name, file.fd, ...range);
  if (errno > 0) throw new KernelCallError('open donor', errno, `${directory.path}/${name}`);
  if (errno < 0) throw new KernelCallError('share blocks with', -errno, file.path);
}

/** Of each that is there. @throws KernelCallError, when it has tried all. */
export function removeDonors(directory: OpenFile, names: readonly string[]): void {
  for (const name of names) checkName(name);
  const errnos = kernelAddon().removeFiles(directory.fd, names);
  for (const [index, errno] of errnos.entries()) {
    if (errno === 0 || errno === osConstants.errno.ENOENT) continue;
    throw new KernelCallError('remove donor', errno, `${directory.path}/${names[index]}`);
  }
}

/** @returns the names of all donors; others' files are not among them. */
export function donorNames(directory: OpenFile): string[] {
  const entries = readdirSync(below(directory), { recursive: true, withFileTypes: true });
  const prefix = below(directory);
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath}/${entry.name}`.slice(prefix.length + 1))
    .filter((name) => DONOR_NAME.test(name));
}

/** The way to a directory that is open, whatever its name is now. Source: proc(5). */
export function below(directory: OpenFile): string {
  return `/proc/self/fd/${directory.fd}`;
}

/** Leaves one that is there as it is. */
function makeDirectory(path: string, label: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') {
      throw fromNodeError('make directory', cause, label);
    }
  }
}

function openDirectory(path: string, label: string): DirectoryHandle {
  try {
    const fd = openSync(path, OPEN_DIRECTORY);
    return { fd, path: label, [Symbol.dispose]: () => closeSync(fd) };
  } catch (cause) {
    throw fromNodeError('open directory', cause, label);
  }
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function checkName(name: string): void {
  if (!DONOR_NAME.test(name)) throw new InvariantError(`not the name of a donor: ${name}`);
}
