/**
 * Reads, writes and flushes of one file that are waited for only so long.
 *
 * A device that hangs answers no call, and no signal ends one. So a thread of its own makes the calls,
 * and the thread that asks waits for it with a limit: within a transaction, where it cannot wait in any
 * other way. What was given up may still be done, late: nothing more is asked of the file before that
 * call has come back (`isAnswering`), and its descriptor must stay open until then.
 *
 * The thread reads and writes descriptors of this process; it is started at the first call.
 */

import { closeSync, constants, openSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { InvariantError, MaintenanceError } from '../domain/errors.js';
import { MIB } from '../domain/units.js';
import type { OpenFile } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';
import { packageRoot } from './package-root.js';

/** The call, as `workers/file-calls.ts` knows it, and what errors call it. */
const CALLS = { read: 1, write: 2, flush: 3, probe: 4 } as const;
type Call = keyof typeof CALLS;

/** Numbers that both threads see, by their place. */
const ASKED = 0;
const ANSWERED = 1;
const CALL = 2;
const DESCRIPTOR = 3;
const LENGTH = 4;
const RESULT = 5;
const ERRNO = 6;
const NUMBER_COUNT = 8;
const CHUNK_BYTES = MIB;

export class BoundedIo {
  readonly #timeoutMs: number;
  readonly #numbers = new Int32Array(new SharedArrayBuffer(4 * NUMBER_COUNT));
  readonly #offset = new Float64Array(new SharedArrayBuffer(8));
  readonly #bytes = new Uint8Array(new SharedArrayBuffer(CHUNK_BYTES));
  #worker: Worker | null = null;
  /** Descriptors to be closed. */
  readonly #unused: number[] = [];
  #askedAtMs = 0;
  #isGivenUp = false;

  /** @param timeoutMs how long a call may take. */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** False from the moment when a call took too long until it has come back. */
  get isAnswering(): boolean {
    if (!this.#isBusy) this.#settle();
    else if (performance.now() - this.#askedAtMs > this.#timeoutMs) this.#isGivenUp = true;
    return !this.#isGivenUp;
  }

  /** @returns bytes read. @throws MaintenanceError ERR_DISK_UNAVAILABLE, or the error of the call. */
  read(file: OpenFile, bytes: Uint8Array, atBytes: number): number {
    const lengthBytes = Math.min(bytes.length, CHUNK_BYTES);
    const doneBytes = this.#call('read', file, lengthBytes, atBytes);
    bytes.set(this.#bytes.subarray(0, doneBytes));
    return doneBytes;
  }

  /** @returns bytes written. @throws as `read`. */
  write(file: OpenFile, bytes: Uint8Array, atBytes: number): number {
    const part = bytes.subarray(0, CHUNK_BYTES);
    this.#wait(file);
    this.#bytes.set(part);
    return this.#call('write', file, part.length, atBytes);
  }

  /** @throws as `read`. */
  flush(file: OpenFile): void {
    this.#call('flush', file, 0, 0);
  }

  /**
   * Asks the disk for a block, past the page cache, which says nothing about it; and waits for nothing:
   * see `isAnswering`. Does nothing where the file system has no O_DIRECT.
   */
  probe(file: OpenFile): void {
    if (this.#isBusy) return;
    let fd: number;
    try {
      fd = openSync(`/proc/self/fd/${file.fd}`, constants.O_RDONLY | constants.O_DIRECT);
    } catch {
      return;
    }
    this.#ask('probe', { fd, path: file.path }, 0, 0);
    this.closeFile(fd);
  }

  /** Gives a call under way some time once more. */
  close(graceMs = this.#timeoutMs): void {
    if (this.#isBusy) {
      const answered = Atomics.load(this.#numbers, ANSWERED);
      Atomics.wait(this.#numbers, ANSWERED, answered, graceMs);
    }
    if (!this.#isBusy) this.#settle();
    void this.#worker?.terminate();
    this.#worker = null;
  }

  /** Later, while a call is under way: its descriptor's number would mean another file. */
  closeFile(fd: number): void {
    this.#unused.push(fd);
    if (!this.#isBusy) this.#settle();
  }

  /** What is to be done when no call is under way. */
  #settle(): void {
    this.#isGivenUp = false;
    for (const fd of this.#unused.splice(0)) closeSync(fd);
  }

  get #isBusy(): boolean {
    const [asked, answered] = [ASKED, ANSWERED].map((at) => Atomics.load(this.#numbers, at));
    return asked !== answered;
  }

  #call(call: Call, file: OpenFile, lengthBytes: number, atBytes: number): number {
    this.#wait(file);
    this.#ask(call, file, lengthBytes, atBytes);
    this.#wait(file);
    const errno = Atomics.load(this.#numbers, ERRNO);
    if (errno !== 0) throw new KernelCallError(call, errno, file.path);
    return Atomics.load(this.#numbers, RESULT);
  }

  #ask(call: Call, file: OpenFile, lengthBytes: number, atBytes: number): void {
    if (this.#isBusy) throw new InvariantError('one call of a file at a time');
    this.#worker ??= this.#startWorker();
    this.#askedAtMs = performance.now();
    this.#offset[0] = atBytes;
    Atomics.store(this.#numbers, CALL, CALLS[call]);
    Atomics.store(this.#numbers, DESCRIPTOR, file.fd);
    Atomics.store(this.#numbers, LENGTH, lengthBytes);
    Atomics.add(this.#numbers, ASKED, 1);
    Atomics.notify(this.#numbers, ASKED);
  }

  /** Until the call under way has come back. */
  #wait(file: OpenFile): void {
    while (this.isAnswering && this.#isBusy) {
      const leftMs = this.#askedAtMs + this.#timeoutMs - performance.now();
      const answered = Atomics.load(this.#numbers, ANSWERED);
      if (this.#isBusy) Atomics.wait(this.#numbers, ANSWERED, answered, Math.max(1, leftMs));
    }
    if (!this.isAnswering) throw notAnswering(file.path);
  }

  #startWorker(): Worker {
    const { buffer: numbers } = this.#numbers;
    const { buffer: offset } = this.#offset;
    const { buffer: bytes } = this.#bytes;
    const worker = new Worker(join(packageRoot(), 'dist', 'workers', 'file-calls.js'), {
      workerData: { numbers, offset, bytes },
      trackUnmanagedFds: false,
    });
    // A call that it cannot answer any more is one that took too long.
    worker.on('error', () => {});
    worker.unref();
    return worker;
  }
}

export function notAnswering(path: string): MaintenanceError {
  return new MaintenanceError('ERR_DISK_UNAVAILABLE', `${path} does not answer`, {
    nextStep: 'Look into the kernel log (dmesg); it is used again once it answers.',
  });
}
