/** Reads or writes many ranges of many files at once: one after the other, each would wait for the disk. */

import type { TransfersHandle } from '../../native/addon.js';
import { kernelAddon } from './addon.js';
import type { OpenFile } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';

/** Requests that the disk has at a time; more made nothing faster here. */
const THREAD_COUNT = 4;
const FIELDS = 4;

export interface TransferRequest {
  readonly file: OpenFile;
  readonly atBytes: number;
  readonly lengthBytes: number;
  /** Where in the buffer. */
  readonly bufferBytes: number;
}

/**
 * Under way, so that the caller can work on something else meanwhile. Ends with `finish`, which must be
 * called before a file is closed or the buffer used again, whatever happens.
 */
export class TransferBatch {
  readonly #direction: 'read' | 'write';
  readonly #requests: readonly TransferRequest[];
  /** Kept from the garbage collector: threads use it. */
  readonly buffer: Buffer;
  readonly #transfers: TransfersHandle;

  private constructor(
    direction: 'read' | 'write',
    requests: readonly TransferRequest[],
    buffer: Buffer,
  ) {
    this.#direction = direction;
    this.#requests = requests;
    this.buffer = buffer;
    const numbers = new Float64Array(requests.length * FIELDS);
    let at = 0;
    for (const { file, atBytes, lengthBytes, bufferBytes } of requests) {
      numbers[at] = file.fd;
      numbers[at + 1] = atBytes;
      numbers[at + 2] = lengthBytes;
      numbers[at + 3] = bufferBytes;
      at += FIELDS;
    }
    this.#transfers =
      direction === 'read'
        ? kernelAddon().beginReads(numbers, buffer, THREAD_COUNT)
        : kernelAddon().beginWrites(numbers, buffer, THREAD_COUNT);
  }

  /** Source: pread(2). */
  static read(requests: readonly TransferRequest[], buffer: Buffer): TransferBatch {
    return new TransferBatch('read', requests, buffer);
  }

  /** Nobody may change the buffer before it is finished. Source: pwrite(2). */
  static write(requests: readonly TransferRequest[], buffer: Buffer): TransferBatch {
    return new TransferBatch('write', requests, buffer);
  }

  /** Waits for one request; those before it were begun before it. @returns as `finish`. */
  wait(index: number): number | KernelCallError {
    return this.#outcome(index, kernelAddon().waitForTransfer(this.#transfers, index));
  }

  /**
   * Waits for all; again for nothing.
   *
   * @returns per request the bytes done, fewer than asked only at the end of a file that is read, or
   *   its error.
   */
  finish(): readonly (number | KernelCallError)[] {
    const results = new Float64Array(this.#requests.length);
    kernelAddon().finishTransfers(this.#transfers, results);
    return this.#requests.map((_, index) => this.#outcome(index, results[index] ?? 0));
  }

  #outcome(index: number, result: number): number | KernelCallError {
    if (result >= 0) return result;
    return new KernelCallError(this.#direction, -result, this.#requests[index]?.file.path ?? '');
  }
}
