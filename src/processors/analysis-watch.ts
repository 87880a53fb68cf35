/**
 * An analysis of a mounted file system is no run, but reads all of its tables: it gives way to others as
 * a defragmentation at medium intensity does, and ends when the agent does.
 */

import { makeScanControl, SCAN_CONTROL } from '../domain/file-scan.js';
import { defaultBounds } from '../domain/governor.js';
import { dutyOf } from '../domain/governor-pace.js';
import type { MaintenanceContext } from '../pool/maintained-pool.js';
import { governorOf } from './governor.js';
import type { Governed } from './governor-seat.js';
import { isDraining } from './run-batch.js';

const LOOK_EVERY_MS = 250;

/** No run has such an id. */
let lastId = 0;

interface AnalysisTerms {
  /** Threads that scan at a time. */
  readonly threadCount: number;
  /** Of the time in which they may work, all together, also while nobody else uses the disk. */
  readonly shareMax: number;
  readonly deviceNames: () => readonly string[];
}

export class AnalysisWatch implements Disposable {
  readonly scan = makeScanControl();
  readonly #context: MaintenanceContext;
  readonly #timer: NodeJS.Timeout;
  readonly #governed: Governed;

  constructor(context: MaintenanceContext, { threadCount, shareMax, deviceNames }: AnalysisTerms) {
    this.#context = context;
    lastId -= 1;
    this.#governed = {
      run: { runId: lastId, kind: 'defrag' },
      bounds: defaultBounds('medium'),
      setPace: (paceRatio) => {
        const duty = dutyOf(Math.min(paceRatio, shareMax), threadCount);
        Atomics.store(this.scan, SCAN_CONTROL.duty, duty);
      },
    };
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
    governorOf(context).enter(this.#governed, deviceNames);
  }

  #look(): void {
    if (isDraining(this.#context)) Atomics.store(this.scan, SCAN_CONTROL.stop, 1);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    governorOf(this.#context).leave(this.#governed);
  }
}
