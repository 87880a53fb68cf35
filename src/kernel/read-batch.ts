/** Reads many ranges of many files at once: one after the other, each would wait for the disk. */

import type { ReadsHandle } from '../../native/addon.js';
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
 * Reads under way, so that the caller can work on what it has meanwhile. Ends with `finish`, which
 * must be called before a file is closed or the buffer used again, whatever happens.
 */
export class ReadBatch {
  readonly #requests: readonly ReadRequest[];
  /** Kept from the garbage collector: threads write to it. */
  readonly buffer: Buffer;
  readonly #reads: ReadsHandle;

  constructor(requests: readonly ReadRequest[], buffer: Buffer) {
    this.#requests = requests;
    this.buffer = buffer;
    const numbers = new Float64Array(requests.length * FIELDS);
    for (const [index, { file, atBytes, lengthBytes, bufferBytes }] of requests.entries()) {
      numbers.set([file.fd, atBytes, lengthBytes, bufferBytes], index * FIELDS);
    }
    this.#reads = kernelAddon().beginReads(numbers, buffer, THREAD_COUNT);
  }

  /**
   * Waits for all.
   *
   * @returns per request the bytes read, fewer than asked only at the end of the file, or its error.
   *
   * Source: pread(2).
   */
  finish(): readonly (number | KernelCallError)[] {
    const results = new Float64Array(this.#requests.length);
    kernelAddon().finishReads(this.#reads, results);
    return this.#requests.map(({ file }, index) => {
      const result = results[index] ?? 0;
      return result < 0 ? new KernelCallError('read', -result, file.path) : result;
    });
  }
}
