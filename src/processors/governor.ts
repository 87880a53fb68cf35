/**
 * Looks at the devices of a pool while runs are at work on it, and tells their threads the pace.
 *
 * Each run has a seat of its own, over the same samples: what one was asked for binds no other.
 *   idle → looking → full ⇄ yielding ⇄ paused     see src/domain/governor.ts
 * Idle costs nothing. Between two batches of a run it goes on looking, so that a batch does not begin
 * blind; after that it forgets what it saw.
 */

import { SAMPLE_EVERY_MS } from '../domain/governor.js';
import { LoadProbe } from '../kernel/load-probe.js';
import type { MaintenanceContext } from '../pool/maintained-pool.js';
import { untilBeat } from './beat.js';
import { type Governed, Seat } from './governor-seat.js';

/** Longer than from one batch of a run to the next. */
const LINGER_MS = 3_000;
/** For whoever watches; a change of state is written at once. */
const WRITE_EVERY_MS = 1_000;

const governors = new WeakMap<MaintenanceContext, Governor>();

/** The one of a pool in this process. */
export function governorOf(context: MaintenanceContext): Governor {
  let governor = governors.get(context);
  if (!governor) {
    governor = new Governor(context);
    governors.set(context, governor);
  }
  return governor;
}

class Governor {
  readonly #context: MaintenanceContext;
  readonly #seats = new Map<number, Seat>();
  #probe: LoadProbe | null = null;
  #timer: NodeJS.Timeout | null = null;
  #writtenAtMs = 0;

  constructor(context: MaintenanceContext) {
    this.#context = context;
  }

  /** @returns 1 for a run that is not governed. */
  paceRatio(runId: number): number {
    return this.#seats.get(runId)?.paceRatio ?? 1;
  }

  enter(governed: Governed, deviceNames: () => readonly string[]): void {
    const { runId } = governed.run;
    const known = this.#seats.get(runId);
    const seat = known ?? new Seat(governed, this.#context.clock);
    this.#seats.set(runId, seat);
    seat.enter(governed);
    if (this.#timer === null) this.#begin(deviceNames());
    else if (!known) this.#hurry(this.#timer);
  }

  leave(governed: Governed): void {
    this.#seats.get(governed.run.runId)?.leave(governed);
  }

  /** Writes how long the run had which pace. Safe while: in the transaction that ends the run. */
  settle(runId: number): void {
    const seat = this.#seats.get(runId);
    if (seat) this.#writeTimes(runId, seat);
  }

  #begin(deviceNames: readonly string[]): void {
    this.#probe = isOff() ? null : new LoadProbe(deviceNames);
    if (this.#probe === null || this.#probe.take() === null) this.#look();
    else this.#wait();
  }

  /** For a run that may do nothing before the devices were looked at; the others need no look so soon. */
  #hurry(timer: NodeJS.Timeout): void {
    clearTimeout(timer);
    const seesNothing = [...this.#seats.values()].some(({ state }) => state === 'fixed');
    if (seesNothing) this.#look();
    else this.#wait();
  }

  #wait(): void {
    const each = [...this.#seats.values()].map(({ state }) => SAMPLE_EVERY_MS[state]);
    this.#timer = setTimeout(() => this.#look(), untilBeat(Math.min(...each)));
    this.#timer.unref();
  }

  #look(): void {
    this.#timer = null;
    const sample = isOff() ? 'switched-off' : (this.#probe?.take() ?? 'no-figures');
    const changes = [...this.#seats.values()].map((seat) => seat.judge(sample));
    const isDue = performance.now() - this.#writtenAtMs >= WRITE_EVERY_MS;
    if (isDue || changes.includes(true)) this.#write();
    for (const [runId, seat] of this.#seats) {
      if (seat.isGoneFor(LINGER_MS)) this.#seats.delete(runId);
    }
    if (this.#seats.size > 0) this.#wait();
  }

  #write(): void {
    this.#writtenAtMs = performance.now();
    const { store } = this.#context;
    // An analysis has a seat, but nobody asks for its status.
    const ofRuns = [...this.#seats].filter(([runId]) => runId > 0);
    const statuses = ofRuns.map(([, seat]) => seat.status());
    try {
      store.transactionWithoutFlush(() => {
        store.governor.setStatuses(statuses);
        for (const [runId, seat] of ofRuns) this.#writeTimes(runId, seat);
      });
    } catch {
      // Only for show: a store that is busy or closed is told about by whoever works with it.
    }
  }

  #writeTimes(runId: number, seat: Seat): void {
    const { store } = this.#context;
    const times = seat.takeTimes();
    if (Object.values(times).every((ms) => ms === 0)) return;
    store.runs.addProgress(runId, times);
    store.totals.add({
      governor_full_ms: times.fullPaceMs,
      governor_yielding_ms: times.yieldingMs,
      governor_held_ms: times.heldMs,
    });
  }
}

/** For who measures what it costs, and for machines on which it is wrong. */
function isOff(): boolean {
  return process.env.DYNAMICFS_GOVERNOR === 'off';
}
