/** Asks a file system how much space it holds for a range of a file. */

import { InvariantError } from '../domain/errors.js';
import type { ByteRun } from '../domain/units.js';
import { kernelAddon } from './addon.js';
import { type OpenFile, rangeArguments } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';

/**
 * Counts the bytes of a run that take up space: written, preallocated or waiting to be written.
 *
 * @returns from 0, all of it a hole, to `run.lengthBytes`.
 * @throws KernelCallError ERR_UNSUPPORTED when the file system does not tell (tmpfs, overlay).
 *
 * Source: Documentation/filesystems/fiemap.rst.
 */
export function mappedBytes(file: OpenFile, run: ByteRun): number {
  const reply = kernelAddon().mappedBytes(file.fd, ...rangeArguments(run));
  if (reply.errno !== 0) throw new KernelCallError('read the map of', reply.errno, file.path);

  const sumBytes = Number(reply.mappedBytes);
  if (sumBytes > run.lengthBytes) {
    throw new InvariantError(`${file.path}: ${sumBytes} of ${run.lengthBytes} bytes are mapped`);
  }
  return sumBytes;
}
