/** Memory for O_DIRECT, which wants its address, its length and its place in the file aligned. */

import { InvariantError } from '../domain/errors.js';
import { kernelAddon } from './addon.js';

/** Fits every disk: logical blocks are 512 or 4096 bytes. */
export const ALIGNMENT_BYTES = 4096;

/**
 * Allocates a zeroed buffer at an address that is a multiple of `ALIGNMENT_BYTES`.
 *
 * Allocate once per thread and use it again. The memory lies outside the heap and is freed by the
 * event loop, which stands still in a Piscina thread between two tasks.
 *
 * @param sizeBytes a positive multiple of `ALIGNMENT_BYTES`.
 *
 * Source: open(2) (O_DIRECT).
 */
export function alignedBuffer(sizeBytes: number): Buffer {
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0 || sizeBytes % ALIGNMENT_BYTES !== 0) {
    throw new InvariantError(`aligned buffers come in multiples of 4096 bytes, not ${sizeBytes}`);
  }
  return Buffer.from(kernelAddon().allocateAligned(sizeBytes));
}
