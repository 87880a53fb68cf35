/** Reads many ranges of many files at once: one after the other, each would wait for the disk. */

import { kernelAddon } from './addon.js';
import type { OpenFile } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';

/** Requests that the disk has at a time; more made nothing faster here. */
const THREAD_COUNT = 4;
const FIELDS = 4;

export interface ReadRequest {
  readonly file: OpenFile;
  readonly atBytes: number;
  readonly lengthBytes: number;
  /** Where in the buffer. */
  readonly bufferBytes: number;
}

/**
 * @returns per request the bytes read, fewer than asked only at the end of the file, or its error.
 *
 * Source: pread(2).
 */
export function readBatch(
  requests: readonly ReadRequest[],
  buffer: Buffer,
): readonly (number | KernelCallError)[] {
  const numbers = new Float64Array(requests.length * FIELDS);
  for (const [index, { file, atBytes, lengthBytes, bufferBytes }] of requests.entries()) {
    numbers.set([file.fd, atBytes, lengthBytes, bufferBytes], index * FIELDS);
  }
  const results = new Float64Array(requests.length);
  kernelAddon().readBatch(numbers, buffer, results, THREAD_COUNT);
  return requests.map(({ file }, index) => {
    const result = results[index] ?? 0;
    return result < 0 ? new KernelCallError('read', -result, file.path) : result;
  });
}
