/** Tells threads at work on a run within moments that it was stopped or paused. */

import { setTimeout as sleep } from 'node:timers/promises';
import { makeScanControl, SCAN_CONTROL } from '../domain/file-scan.js';
import { MOVE_RATE, MOVE_STOP, type MoveControl } from '../domain/move-tasks.js';
import { KIB } from '../domain/units.js';
import type { MaintenanceContext } from '../pool/maintained-pool.js';
import { stillRunning } from './run-batch.js';

const LOOK_EVERY_MS = 50;

export class RunWatch implements Disposable {
  /** Index 0 of each is its stop flag. */
  readonly scan = makeScanControl();
  readonly moves: MoveControl = new Int32Array(new SharedArrayBuffer(8));
  readonly #context: MaintenanceContext;
  readonly #runId: number;
  readonly #timer: NodeJS.Timeout;

  constructor(context: MaintenanceContext, runId: number) {
    this.#context = context;
    this.#runId = runId;
    this.#timer = setInterval(() => this.isRunning, LOOK_EVERY_MS);
  }

  get isRunning(): boolean {
    const running = stillRunning(this.#context, this.#runId);
    if (!running) {
      Atomics.store(this.scan, SCAN_CONTROL.stop, 1);
      Atomics.store(this.moves, MOVE_STOP, 1);
      Atomics.notify(this.moves, MOVE_STOP);
    }
    return running;
  }

  /** @param rateBytesPerSec that one task may move; null for no limit. */
  limit(rateBytesPerSec: number | null): void {
    Atomics.store(this.moves, MOVE_RATE, Math.round((rateBytesPerSec ?? 0) / KIB));
  }

  /** Ends sooner when the run does. */
  async rest(durationMs: number): Promise<void> {
    const endAtMs = performance.now() + durationMs;
    while (this.isRunning && performance.now() < endAtMs) {
      await sleep(Math.min(LOOK_EVERY_MS, endAtMs - performance.now()));
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
