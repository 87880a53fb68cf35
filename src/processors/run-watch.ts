/** Tells threads at work on a run within moments that it was stopped or paused, and their pace. */

import { setTimeout as sleep } from 'node:timers/promises';
import { makeScanControl, SCAN_CONTROL } from '../domain/file-scan.js';
import { dutyOf, restAfterMs } from '../domain/governor-pace.js';
import {
  MOVE_DUTY,
  MOVE_RATE,
  MOVE_STOP,
  MOVE_TURN,
  type MoveControl,
  makeMoveControl,
} from '../domain/move-tasks.js';
import type { Run } from '../domain/runs.js';
import { KIB } from '../domain/units.js';
import type { MaintenanceContext } from '../pool/maintained-pool.js';
import { untilBeat } from './beat.js';
import { governorOf } from './governor.js';
import type { Governed } from './governor-seat.js';
import { stillRunning } from './run-batch.js';

const LOOK_EVERY_MS = 50;
/** Who hardly works has little to stop, and each look takes the processor from those who do. */
const LOOK_WHEN_HELD_EVERY_MS = 250;

/** What a run needs that gives way to others. */
export interface Governance {
  readonly deviceNames: () => readonly string[];
  /** Threads that work on it at a time. */
  readonly laneCount: number;
}

export class RunWatch implements Disposable {
  /** Index 0 of each is its stop flag. */
  readonly scan = makeScanControl();
  readonly moves: MoveControl = makeMoveControl();
  readonly #context: MaintenanceContext;
  readonly #runId: number;
  #timer: NodeJS.Timeout | null = null;
  readonly #governed: Governed | null;

  /** @param governance null for what cannot wait for others. */
  constructor(context: MaintenanceContext, run: Run, governance: Governance | null) {
    this.#context = context;
    this.#runId = run.runId;
    this.#governed = governance && {
      run,
      bounds: context.store.governor.bounds(run.runId, run.intensity),
      setPace: (paceRatio) => this.#setPace(paceRatio, governance.laneCount),
    };
    if (governance && this.#governed) {
      governorOf(context).enter(this.#governed, governance.deviceNames);
    }
    this.#look();
  }

  get isRunning(): boolean {
    const running = stillRunning(this.#context, this.#runId);
    if (!running) {
      Atomics.store(this.scan, SCAN_CONTROL.stop, 1);
      Atomics.store(this.moves, MOVE_STOP, 1);
      Atomics.notify(this.moves, MOVE_STOP);
      this.#wake();
    }
    return running;
  }

  /** Share of the time in which the run may work: 1 unless others are at work. */
  get paceRatio(): number {
    return this.#governed ? governorOf(this.#context).paceRatio(this.#runId) : 1;
  }

  /** @param rateBytesPerSec that one task may move; null for no limit. */
  limit(rateBytesPerSec: number | null): void {
    Atomics.store(this.moves, MOVE_RATE, Math.round((rateBytesPerSec ?? 0) / KIB));
  }

  /** Waits while the governor lets nothing begin. @returns false when the run was stopped or paused. */
  async mayBegin(): Promise<boolean> {
    while (this.isRunning && this.paceRatio === 0) await sleep(untilBeat(this.#lookEveryMs));
    return this.isRunning;
  }

  /** Ends sooner when the run does. */
  async rest(durationMs: number): Promise<void> {
    const endAtMs = performance.now() + durationMs;
    while (this.isRunning && performance.now() < endAtMs) {
      await sleep(Math.min(untilBeat(this.#lookEveryMs), endAtMs - performance.now()));
    }
  }

  /** As the threads do between two pieces of work: for what this thread did to the devices. */
  async giveWay(workMs: number): Promise<void> {
    const beganAtMs = performance.now();
    const isOver = () =>
      performance.now() - beganAtMs >= restAfterMs(workMs, dutyOf(this.paceRatio, 1));
    while (this.isRunning && !isOver()) await sleep(untilBeat(this.#lookEveryMs));
  }

  [Symbol.dispose](): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#governed) governorOf(this.#context).leave(this.#governed);
  }

  get #lookEveryMs(): number {
    return this.paceRatio < 1 ? LOOK_WHEN_HELD_EVERY_MS : LOOK_EVERY_MS;
  }

  #look(): void {
    if (!this.isRunning) return;
    this.#timer = setTimeout(() => this.#look(), untilBeat(this.#lookEveryMs));
  }

  #setPace(paceRatio: number, laneCount: number): void {
    const duty = dutyOf(paceRatio, laneCount);
    Atomics.store(this.scan, SCAN_CONTROL.duty, duty);
    Atomics.store(this.moves, MOVE_DUTY, duty);
    this.#wake();
  }

  #wake(): void {
    Atomics.add(this.moves, MOVE_TURN, 1);
    Atomics.notify(this.moves, MOVE_TURN);
  }
}
