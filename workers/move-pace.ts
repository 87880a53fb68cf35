/** Keeps a task to the pace that the main thread sets, and tells it when to stop. */

import { restAfterMs } from '../src/domain/governor-pace.js';
import { PIECE_BYTES_MAX } from '../src/domain/move-plan.js';
import {
  MOVE_DUTY,
  MOVE_RATE,
  MOVE_STOP,
  MOVE_TURN,
  type MoveControl,
} from '../src/domain/move-tasks.js';
import { type ByteRun, KIB, MIB } from '../src/domain/units.js';

/** As large as a call may be: a stop waits for one. */
const WINDOW_BYTES_MAX = 16 * MIB;
/** With a pace: others wait for one such request at most, and have the disk while we rest after it. */
const PACED_WINDOW_BYTES = 64 * KIB;
const MS_PER_SECOND = 1000;
/** Looked at by one call, which no stop ends. */
const FILES_AT_ONCE = 64;

export class Pace {
  readonly #control: MoveControl | null;
  #dueMs = 0;
  /** Since when this thread has been at work without a rest. */
  #workSinceMs = performance.now();

  constructor(control: MoveControl | null) {
    this.#control = control;
  }

  get isStopped(): boolean {
    return this.#control !== null && Atomics.load(this.#control, MOVE_STOP) === 1;
  }

  /** Whether a piece ends here: at a stop, and a large one, which is for full speed only, when others come. */
  ends({ lengthBytes }: ByteRun): boolean {
    return this.isStopped || (lengthBytes > PIECE_BYTES_MAX && !this.isAtFullSpeed);
  }

  get windowBytes(): number {
    return this.isAtFullSpeed ? WINDOW_BYTES_MAX : PACED_WINDOW_BYTES;
  }

  /** How many files one call may look at: with a pace there is a rest after each. */
  get filesAtOnce(): number {
    return this.isAtFullSpeed ? FILES_AT_ONCE : 1;
  }

  /** Neither a rate nor others who use the devices: the disk may be asked for all at once. */
  get isAtFullSpeed(): boolean {
    return this.#rateKib() === 0 && !this.givesWay;
  }

  /** Whether others use the devices: then work is done in pieces, each finished before a rest. */
  get givesWay(): boolean {
    return this.#control !== null && Atomics.load(this.#control, MOVE_DUTY) !== 0;
  }

  /**
   * Between two pieces of work: rests for as long as the governor wants for the time since the last
   * rest. What it wants may change meanwhile, and a stop ends the rest.
   */
  breathe(): void {
    const control = this.#control;
    if (control === null) return;
    const beganAtMs = performance.now();
    const workMs = beganAtMs - this.#workSinceMs;
    for (;;) {
      const turn = Atomics.load(control, MOVE_TURN);
      const restMs = restAfterMs(workMs, Atomics.load(control, MOVE_DUTY));
      const leftMs = beganAtMs + restMs - performance.now();
      if (leftMs <= 0 || this.isStopped) break;
      Atomics.wait(control, MOVE_TURN, turn, leftMs);
    }
    this.#workSinceMs = performance.now();
  }

  /** Waits until the disk work just done is within the rate; a stop ends the wait. */
  spend(doneBytes: number): void {
    this.breathe();
    const rateKib = this.#rateKib();
    if (rateKib === 0 || this.#control === null) return;
    const nowMs = performance.now();
    this.#dueMs = Math.max(this.#dueMs, nowMs) + (doneBytes / KIB / rateKib) * MS_PER_SECOND;
    Atomics.wait(this.#control, MOVE_STOP, 0, this.#dueMs - nowMs);
    this.#workSinceMs = performance.now();
  }

  #rateKib(): number {
    return this.#control === null ? 0 : Atomics.load(this.#control, MOVE_RATE);
  }
}

/** Thrown between windows, never inside one. */
export class Stopped extends Error {}
