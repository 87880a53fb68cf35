/** Tells threads at work on a run within moments that it was stopped or paused. */

import { setTimeout as sleep } from 'node:timers/promises';
import { makeScanControl } from '../domain/file-scan.js';
import type { MaintenanceContext } from '../pool/maintained-pool.js';
import { stillRunning } from './run-batch.js';

const LOOK_EVERY_MS = 50;

export class RunWatch implements Disposable {
  /** Index 0 is the stop flag; the rest is for the progress of a scan. */
  readonly flag = makeScanControl();
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
    if (!running) Atomics.store(this.flag, 0, 1);
    return running;
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
