/** Keeps a task to the pace that the main thread sets, and tells it when to stop. */

import { MOVE_RATE, MOVE_STOP, type MoveControl } from '../src/domain/move-tasks.js';
import { KIB, MIB } from '../src/domain/units.js';

/** As large as a call may be: a stop waits for one. */
const WINDOW_BYTES_MAX = 16 * MIB;
/** With a pace: others wait for one such request at most, and have the disk while we rest after it. */
const PACED_WINDOW_BYTES = 64 * KIB;
const MS_PER_SECOND = 1000;

export class Pace {
  readonly #control: MoveControl | null;
  #dueMs = 0;

  constructor(control: MoveControl | null) {
    this.#control = control;
  }

  get isStopped(): boolean {
    return this.#control !== null && Atomics.load(this.#control, MOVE_STOP) === 1;
  }

  get windowBytes(): number {
    return this.#rateKib() > 0 ? PACED_WINDOW_BYTES : WINDOW_BYTES_MAX;
  }

  /** Waits until the disk work just done is within the rate; a stop ends the wait. */
  spend(doneBytes: number): void {
    const rateKib = this.#rateKib();
    if (rateKib === 0 || this.#control === null) return;
    const nowMs = performance.now();
    this.#dueMs = Math.max(this.#dueMs, nowMs) + (doneBytes / KIB / rateKib) * MS_PER_SECOND;
    Atomics.wait(this.#control, MOVE_STOP, 0, this.#dueMs - nowMs);
  }

  #rateKib(): number {
    return this.#control === null ? 0 : Atomics.load(this.#control, MOVE_RATE);
  }
}

/** Thrown between windows, never inside one. */
export class Stopped extends Error {}
