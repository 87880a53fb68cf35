/**
 * Looks at the devices of a pool while runs are at work on it, and tells their threads the pace.
 *
 *   idle → looking → full ⇄ yielding ⇄ paused     see src/domain/governor.ts
 * Idle costs nothing. Between two batches of a run it goes on looking, so that a batch does not begin
 * blind; after that it forgets what it saw.
 */

import {
  FIRST_SAMPLE_EVERY_MS,
  type Governing,
  type GovernorBounds,
  type GovernorState,
  govern,
  LOOKING,
  SAMPLE_EVERY_MS,
  strictest,
} from '../domain/governor.js';
import { LoadProbe } from '../kernel/load-probe.js';
import type { MaintenanceContext } from '../pool/maintained-pool.js';

/** Longer than from one batch of a run to the next. */
const LINGER_MS = 3_000;
/** Where there is nothing to see, it is looked for now and then. */
const FIXED_EVERY_MS = 1_000;
/** For whoever watches; a change of state is written at once. */
const STATUS_EVERY_MS = 1_000;

const EVERY_MS: Partial<Record<GovernorState, number>> = {
  looking: FIRST_SAMPLE_EVERY_MS,
  fixed: FIXED_EVERY_MS,
};

/** A run at work. */
export interface Governed {
  readonly bounds: GovernorBounds;
  /** @param paceRatio share of the time in which the run may work, with all of its threads. */
  readonly setPace: (paceRatio: number) => void;
}

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
  readonly #governed = new Set<Governed>();
  #probe: LoadProbe | null = null;
  #now: Governing = LOOKING;
  #timer: NodeJS.Timeout | null = null;
  #bounds: GovernorBounds | null = null;
  #leftAtMs = 0;
  #sinceMs = 0;
  #writtenAtMs = 0;

  constructor(context: MaintenanceContext) {
    this.#context = context;
  }

  get paceRatio(): number {
    return this.#now.paceRatio;
  }

  enter(one: Governed, deviceNames: () => readonly string[]): void {
    this.#governed.add(one);
    if (this.#timer === null) {
      this.#now = LOOKING;
      this.#sinceMs = this.#context.clock();
      this.#probe = isOff() ? null : new LoadProbe(deviceNames());
      if (this.#probe === null || this.#probe.take() === null) this.#look();
      else this.#wait(FIRST_SAMPLE_EVERY_MS);
    }
    one.setPace(this.#now.paceRatio);
  }

  leave(one: Governed): void {
    this.#governed.delete(one);
    this.#leftAtMs = performance.now();
  }

  #wait(durationMs: number): void {
    this.#timer = setTimeout(() => this.#look(), durationMs);
    this.#timer.unref();
  }

  #look(): void {
    this.#timer = null;
    if (this.#governed.size === 0 && performance.now() - this.#leftAtMs > LINGER_MS) return;
    this.#bounds = strictest([...this.#governed].map(({ bounds }) => bounds)) ?? this.#bounds;
    if (!this.#bounds) return;
    const before = this.#now;
    const sample = isOff() ? 'switched-off' : (this.#probe?.take() ?? 'no-figures');
    this.#now = govern(before, sample, this.#bounds);
    if (this.#now.state !== before.state) this.#sinceMs = this.#context.clock();
    if (this.#now.paceRatio !== before.paceRatio) {
      for (const { setPace } of this.#governed) setPace(this.#now.paceRatio);
    }
    this.#write(this.#now.state !== before.state);
    this.#wait(EVERY_MS[this.#now.state] ?? SAMPLE_EVERY_MS);
  }

  #write(isNew: boolean): void {
    const atMs = this.#context.clock();
    const bounds = this.#bounds;
    if (this.#governed.size === 0 || !bounds) return;
    if (!isNew && Math.abs(atMs - this.#writtenAtMs) < STATUS_EVERY_MS) return;
    this.#writtenAtMs = atMs;
    const { store } = this.#context;
    const { state, cause, paceRatio, foregroundPerSec, latencyMs, busyRatio, stallRatio } =
      this.#now;
    const figures = { foregroundPerSec, latencyMs, busyRatio, stallRatio };
    const status = { state, cause, paceRatio, ...figures, bounds, sinceMs: this.#sinceMs, atMs };
    try {
      store.transactionWithoutFlush(() => store.governor.setStatus(status));
    } catch {
      // Only for show: a store that is busy or closed is told about by whoever works with it.
    }
  }
}

/** For who measures what it costs, and for machines on which it is wrong. */
function isOff(): boolean {
  return process.env.DYNAMICFS_GOVERNOR === 'off';
}
