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
import { InvariantError, MaintenanceError } from '../domain/errors.js';
import { MIB } from '../domain/units.js';
import { kernelAddon } from './addon.js';
import type { OpenFile } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';

/** The calls, as the addon knows them and as errors name them. */
const CALLS = { read: 1, write: 2, flush: 3, probe: 4 } as const;
type Call = keyof typeof CALLS;

const CHUNK_BYTES = MIB;
const NOTHING = new Uint8Array();
const LOOK_EVERY_MS = 500;

/** Of a process that waits as long as there is an answer. */
export interface Doubts {
  /** How long a call takes before `answers` is asked, which waits for an answer itself. */
  readonly afterMs: number;
  /** False when the file's disk does not answer: then, and only then, a call is given up. */
  readonly answers: (file: OpenFile) => boolean;
}

export class BoundedIo {
  readonly #timeoutMs: number;
  readonly #doubts: Doubts | null;
  readonly #beforeLateWrite: () => void;
  readonly #caller = kernelAddon().newFileCaller();
  /** Descriptors to be closed. */
  readonly #unused: number[] = [];
  #askedAtMs = 0;
  #isGivenUp = false;

  /**
   * @param timeoutMs how long a call may take.
   * @param doubts instead of that limit, for all but probes.
   * @param beforeLateWrite called before a write is given up, which may still be done: it sees to it that
   *   nobody writes there before. As long as it throws, the write is waited for.
   */
  constructor(timeoutMs: number, doubts: Doubts | null, beforeLateWrite: () => void) {
    this.#timeoutMs = timeoutMs;
    this.#doubts = doubts;
    this.#beforeLateWrite = beforeLateWrite;
  }

  /** False from the moment when a call took too long until it has come back. */
  get isAnswering(): boolean {
    if (!this.#isBusy) this.#settle();
    else if (this.#leftMs < 0) this.#isGivenUp = true;
    return !this.#isGivenUp;
  }

  /** @returns bytes read. @throws MaintenanceError ERR_DISK_UNAVAILABLE, or the error of the call. */
  read(file: OpenFile, bytes: Uint8Array, atBytes: number): number {
    return this.#call('read', file, bytes.subarray(0, CHUNK_BYTES), atBytes);
  }

  /** @returns bytes written. @throws as `read`. */
  write(file: OpenFile, bytes: Uint8Array, atBytes: number): number {
    return this.#call('write', file, bytes.subarray(0, CHUNK_BYTES), atBytes);
  }

  /** @throws as `read`. */
  flush(file: OpenFile): void {
    this.#call('flush', file, NOTHING, 0);
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
    this.#ask('probe', { fd, path: file.path }, NOTHING, 0);
    this.closeFile(fd);
  }

  /** Gives a call under way some time once more. */
  close(graceMs = this.#timeoutMs): void {
    if (this.#isDoneIn(graceMs)) this.#settle();
    kernelAddon().endFileCalls(this.#caller);
  }

  /** Later, while a call is under way: its descriptor's number would mean another file. */
  closeFile(fd: number): void {
    this.#unused.push(fd);
    if (!this.#isBusy) this.#settle();
  }

  /** Does something when no call is under way: at once, or soon after the one that was given up is back. */
  whenIdle(body: () => void): void {
    if (!this.#isBusy) {
      body();
      return;
    }
    const timer = setInterval(() => {
      if (this.#isBusy) return;
      clearInterval(timer);
      body();
    }, LOOK_EVERY_MS);
    timer.unref();
  }

  /** What is to be done when no call is under way. */
  #settle(): void {
    this.#isGivenUp = false;
    for (const fd of this.#unused.splice(0)) closeSync(fd);
  }

  get #isBusy(): boolean {
    return !this.#isDoneIn(0);
  }

  #isDoneIn(timeoutMs: number): boolean {
    return kernelAddon().waitForFileCall(this.#caller, Math.ceil(timeoutMs)) === 0;
  }

  get #leftMs(): number {
    return this.#askedAtMs + this.#timeoutMs - performance.now();
  }

  #call(call: Call, file: OpenFile, bytes: Uint8Array, atBytes: number): number {
    this.#wait(file);
    this.#ask(call, file, bytes, atBytes);
    this.#wait(file, call);
    const result = kernelAddon().takeFileCall(this.#caller, bytes);
    if (result < 0) throw new KernelCallError(call, -result, file.path);
    return result;
  }

  #ask(call: Call, file: OpenFile, bytes: Uint8Array, atBytes: number): void {
    const { beginFileCall } = kernelAddon();
    const errno = beginFileCall(this.#caller, CALLS[call], file.fd, BigInt(atBytes), bytes);
    if (errno === EBUSY) throw new InvariantError('one call of a file at a time');
    if (errno !== 0) throw new KernelCallError(call, errno, file.path);
    this.#askedAtMs = performance.now();
  }

  /** Until the call under way has come back. @throws MaintenanceError when it is given up. */
  #wait(file: OpenFile, call: Call | null = null): void {
    if (!this.#isGivenUp) {
      const { afterMs, answers } = this.#doubts ?? { afterMs: this.#leftMs, answers: () => false };
      do {
        if (this.#isDoneIn(Math.max(0, afterMs))) break;
      } while (answers(file) || !this.#canGiveUp(call));
      this.#isGivenUp = this.#isBusy;
    }
    if (!this.isAnswering) throw notAnswering(file.path);
  }

  #canGiveUp(call: Call | null): boolean {
    if (call !== 'write') return true;
    try {
      this.#beforeLateWrite();
      return true;
    } catch {
      return false;
    }
  }
}

/** Source: errno(3). */
const EBUSY = 16;

/** @param todo what the user can do. */
export function notAnswering(
  path: string,
  todo = 'repeat the command once it answers',
): MaintenanceError {
  return new MaintenanceError('ERR_DISK_UNAVAILABLE', `${path} does not answer`, {
    nextStep: `Look into the kernel log (dmesg), and ${todo}.`,
  });
}
