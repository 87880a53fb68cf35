/** Makes a range of a file share the blocks of another file's range, if both have the same content. */

import type { ByteRun } from '../domain/units.js';
import { kernelAddon } from './addon.js';
import { type OpenFile, rangeArguments } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';

/**
 * The kernel compares under the locks of both files, so that no write can come in between; neither
 * content nor times of the file change.
 *
 * @param run of `file`: whole blocks, or up to the end of both files.
 * @returns bytes shared from the beginning of the run on; null when the contents differ.
 *
 * Source: ioctl_fideduperange(2).
 */
export function dedupeRange(
  file: OpenFile,
  run: ByteRun,
  from: OpenFile,
  fromStartBytes: number,
): number | null {
  const [start, length] = rangeArguments(run);
  const reply = kernelAddon().dedupeRange(file.fd, from.fd, BigInt(fromStartBytes), length, start);
  if (reply.errno !== 0) throw new KernelCallError('share blocks with', reply.errno, file.path);
  return reply.differs === 1 ? null : Number(reply.sharedBytes);
}
