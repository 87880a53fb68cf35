/** What the governor knows of one run, also between two of its batches. */

import {
  type Governing,
  type GovernorBounds,
  type GovernorState,
  govern,
  LOOKING,
  type LoadSample,
} from '../domain/governor.js';
import { type GovernorStatus, PACE_OF_STATE, paceOf } from '../domain/governor-pace.js';
import type { Run } from '../domain/runs.js';

/** A batch of a run at work. */
export interface Governed {
  readonly run: Pick<Run, 'runId' | 'kind'>;
  readonly bounds: GovernorBounds;
  /** @param paceRatio share of the time in which the run may work, with all of its threads. */
  readonly setPace: (paceRatio: number) => void;
}

type PaceTimes = Record<(typeof PACE_OF_STATE)[GovernorState], number>;

export class Seat {
  readonly #run: Governed['run'];
  readonly #clock: () => number;
  /** Null between batches. */
  #governed: Governed | null = null;
  #bounds: GovernorBounds;
  #now: Governing = LOOKING;
  #sinceMs: number;
  #leftAtMs = 0;
  /** Until when the time of its batches was counted, and what nobody took yet. */
  #countedAtMs = 0;
  #times: PaceTimes = { fullPaceMs: 0, yieldingMs: 0, heldMs: 0 };

  /** @param clock wall time, for who reads it. */
  constructor({ run, bounds }: Governed, clock: () => number) {
    this.#run = { runId: run.runId, kind: run.kind };
    this.#bounds = bounds;
    this.#clock = clock;
    this.#sinceMs = clock();
  }

  get state(): GovernorState {
    return this.#now.state;
  }

  get paceRatio(): number {
    return paceOf(this.#run.kind, this.#now.paceRatio);
  }

  enter(governed: Governed): void {
    this.#count();
    this.#governed = governed;
    this.#bounds = governed.bounds;
    governed.setPace(this.paceRatio);
  }

  /** Of two batches of a run, one that was superseded leaves last. */
  leave(governed: Governed): void {
    if (this.#governed !== governed) return;
    this.#count();
    this.#governed = null;
    this.#leftAtMs = performance.now();
  }

  isGoneFor(durationMs: number): boolean {
    return this.#governed === null && performance.now() - this.#leftAtMs > durationMs;
  }

  /** @returns whether it is in another state now. */
  judge(sample: LoadSample | 'no-figures' | 'switched-off'): boolean {
    this.#count();
    const { state, paceRatio } = this.#now;
    this.#now = govern(this.#now, sample, this.#bounds);
    if (this.#now.paceRatio !== paceRatio) this.#governed?.setPace(this.paceRatio);
    if (this.#now.state === state) return false;
    this.#sinceMs = this.#clock();
    return true;
  }

  /** @returns how long its batches were at work at which pace since this was asked last. */
  takeTimes(): PaceTimes {
    this.#count();
    const times = this.#times;
    this.#times = { fullPaceMs: 0, yieldingMs: 0, heldMs: 0 };
    return times;
  }

  status(): GovernorStatus {
    const { state, cause, foregroundPerSec, latencyMs, busyRatio, stallRatio } = this.#now;
    return {
      ...this.#run,
      ...{ state, cause, paceRatio: this.paceRatio },
      ...{ foregroundPerSec, latencyMs, busyRatio, stallRatio },
      bounds: this.#bounds,
      sinceMs: this.#sinceMs,
      atMs: this.#clock(),
    };
  }

  #count(): void {
    const nowMs = performance.now();
    if (this.#governed) this.#times[PACE_OF_STATE[this.state]] += nowMs - this.#countedAtMs;
    this.#countedAtMs = nowMs;
  }
}
