/**
 * A month of ticks on a pool that is there, with a clock of its own: no trigger is lost and none is
 * doubled while the agent restarts, ticks stay away, and the clock jumps. What should begin is said by
 * a model that knows only how much time has passed.
 */

import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { PolicyOverrides } from '../../src/domain/policy.js';
import type { Reclamation } from '../../src/domain/reclamation.js';
import { MIB } from '../../src/domain/units.js';
import { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { ExtentPoolGround } from '../../src/pool/extent-pool/reclamation-ground.js';
import { processAnalyze } from '../../src/processors/analyze.js';
import { beginWanted } from '../../src/processors/begin-wanted.js';
import { Reclaimer } from '../../src/processors/reclamation.js';
import { processTrimBatch } from '../../src/processors/trim-batch.js';
import { content, fileEntry } from '../support/pool-fixture.js';
import { memoryDirectory } from '../support/temp-directory.js';

const MINUTE_MS = 60_000;
/** The agent's ticks come every minute; here every twentieth, since each takes real time. */
const TICK_MINUTES = 20;
const NIGHT_TICK_MINUTES = 10;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const TIMEOUT_MS = 240_000;

/** A pool, its agent's part that begins and does things, and the clock on the machine. */
class Machine {
  nowMs: number;
  #pool: ExtentPool;
  readonly #entry = fileEntry('x', content('garbage', MIB));
  readonly #path = join(memoryDirectory('month'), 'pool');

  constructor(startMs: number, overrides: PolicyOverrides) {
    this.nowMs = startMs;
    this.#pool = ExtentPool.create(this.#path, { clock: () => this.nowMs });
    this.#pool.addDisk(memoryDirectory('month-disk'), { capacityBytes: 64 * MIB, tier: 'cold' });
    this.#pool.context.store.policies.set({ preset: 'balanced', overrides }, this.nowMs, 'test');
  }

  async restart(): Promise<void> {
    await this.#pool.close();
    this.#pool = ExtentPool.open(this.#path, { clock: () => this.nowMs });
  }

  /** Makes something to give back. */
  async litter(): Promise<void> {
    await this.#pool.put([{ ...this.#entry, name: 'garbage' }], { replicaCount: 1 });
    this.#pool.remove('garbage');
  }

  get hasPending(): boolean {
    const { store } = this.#pool.context;
    return store.disks.all().some((one) => store.space.totals(one.diskId).pendingBytes > 0);
  }

  /** As the tick's job: at least once, so now and then twice. @returns what it began. */
  async tick(twice: boolean): Promise<Reclamation | null> {
    const { context } = this.#pool;
    const ground = new ExtentPoolGround(context);
    const began = beginWanted(ground);
    if (twice) expect(beginWanted(ground)).toBeNull();
    if (began === null) return null;
    const reclaimer = new Reclaimer(ground, async () => processAnalyze(context));
    for (const { index } of context.store.reclamations.steps(began)) {
      await reclaimer.phase(began, index);
      await this.#trimAll();
    }
    reclaimer.advance();
    return context.store.reclamations.get(began);
  }

  async #trimAll(): Promise<void> {
    const { context } = this.#pool;
    const epoch = context.store.owner.acquire('test', this.nowMs);
    context.ownerEpoch = epoch;
    for (let run = context.store.runs.open('trim'); run; run = context.store.runs.open('trim')) {
      const { runId, batchIndex } = run;
      const job = {
        v: 1,
        kind: 'batch',
        poolId: context.poolId,
        runId,
        batchIndex,
        epoch,
      } as const;
      await processTrimBatch(context, job);
    }
  }

  close(): Promise<void> {
    return this.#pool.close();
  }
}

let machine: Machine | null = null;
afterEach(async () => {
  await machine?.close();
  machine = null;
});

/** At a minute of the month: ticks stay away for so long, or the clock is set. */
type Event = { readonly awayMinutes: number } | { readonly jumpMs: number } | 'restart';

const EVENTS: Readonly<Record<number, Event>> = {
  [2 * 1440 + 10]: 'restart',
  [3 * 1440 - 10]: { awayMinutes: 30 },
  [5 * 1440 + 600]: { jumpMs: -5 * HOUR_MS },
  [5 * 1440 + 900]: { jumpMs: 5 * HOUR_MS },
  [8 * 1440 - 10]: 'restart',
  [9 * 1440 + 300]: { awayMinutes: 9 * 60 },
  [11 * 1440 + 100]: { jumpMs: 400 * DAY_MS },
  [11 * 1440 + 400]: { jumpMs: -400 * DAY_MS },
  [11 * 1440 + 410]: 'restart',
  [15 * 1440]: { jumpMs: -40 * DAY_MS },
  [18 * 1440 + 20]: { awayMinutes: 2 * 1440 + 77 },
  [23 * 1440 + 10]: { jumpMs: -1 },
  [25 * 1440 + 700]: { jumpMs: -DAY_MS },
  [25 * 1440 + 710]: { jumpMs: -DAY_MS },
  [27 * 1440]: { jumpMs: 3 * HOUR_MS },
};

/** Of the time since the tick before. */
function eventAt(minute: number): Event | undefined {
  const at = Object.keys(EVENTS).find((key) => minute - TICK_MINUTES < +key && +key <= minute);
  return at === undefined ? undefined : EVENTS[Number(at)];
}

interface Step {
  readonly minute: number;
  /** Time that has passed by the ticks: what a clock that was set back took away does not count. */
  readonly elapsedMs: number;
  readonly began: Reclamation | null;
  readonly hadPending: boolean;
}

/** The ticks of 31 days, with all events; something is to be given back every 14 hours. */
async function month(overrides: PolicyOverrides): Promise<Step[]> {
  const startMs = Date.UTC(2026, 2, 10);
  const it = new Machine(startMs, overrides);
  machine = it;
  const steps: Step[] = [];
  let [elapsedMs, lastMs, awayUntil] = [0, startMs, 0];
  for (let minute = 0; minute < 31 * 1440; minute += TICK_MINUTES) {
    it.nowMs += TICK_MINUTES * MINUTE_MS;
    const event = eventAt(minute);
    if (event === 'restart') await it.restart();
    else if (event && 'jumpMs' in event) it.nowMs += event.jumpMs;
    else if (event) awayUntil = minute + event.awayMinutes;
    if (minute % 840 === 0) await it.litter();
    if (minute < awayUntil) continue;
    elapsedMs += Math.max(0, it.nowMs - lastMs);
    lastMs = it.nowMs;
    const hadPending = it.hasPending;
    const began = await it.tick(minute % 140 === 0);
    steps.push({ minute, elapsedMs, began, hadPending });
  }
  return steps;
}

describe('a month of ticks with restarts, missed ticks and a clock that jumps', () => {
  it('has one reclamation for each interval of the schedule', { timeout: TIMEOUT_MS }, async () => {
    const steps = await month({ tiers: { cold: { trim: { intensity: 'conservative' } } } });
    let lastMs = 0;
    const expected = steps.filter(({ elapsedMs }) => {
      if (elapsedMs - lastMs < DAY_MS) return false;
      lastMs = elapsedMs;
      return true;
    });
    const begun = steps.filter(({ began }) => began !== null);
    expect(begun.map(({ minute }) => minute)).toEqual(expected.map(({ minute }) => minute));
    expect(new Set(begun.map(({ began }) => began?.trigger))).toEqual(new Set(['schedule']));
    expect(begun.length).toBeGreaterThanOrEqual(29);
    for (const { began } of begun) expect(began).toMatchObject({ state: 'completed' });
  });

  it('has one trim for each hour after something was freed', { timeout: TIMEOUT_MS }, async () => {
    const steps = await month({ scheduleIntervalMs: 1000 * DAY_MS });
    let lastMs = 0;
    const expected = steps.filter(({ elapsedMs, hadPending }) => {
      if (!hadPending || elapsedMs - lastMs < HOUR_MS) return false;
      lastMs = elapsedMs;
      return true;
    });
    const begun = steps.filter(({ began }) => began !== null);
    expect(begun.map(({ minute }) => minute)).toEqual(expected.map(({ minute }) => minute));
    expect(new Set(begun.map(({ began }) => began?.trigger))).toEqual(new Set(['freed']));
    expect(begun.length).toBeGreaterThan(45);
  });
});

describe('a week of ticks in which clocks change', () => {
  const local = (atMs: number) =>
    new Intl.DateTimeFormat('sv-SE', {
      timeZone: 'Europe/Berlin',
      dateStyle: 'short',
      timeStyle: 'short',
    }).format(atMs);

  it.each([
    ['forward', Date.UTC(2026, 2, 26, 6)],
    ['back', Date.UTC(2026, 9, 22, 5)],
  ])(
    '%s: one reclamation each night, in the window and out of quiet hours',
    async (_, startMs) => {
      const it = new Machine(startMs, {
        scheduleIntervalMs: 20 * HOUR_MS,
        windows: [{ cron: '30 2 * * *', timeZone: 'Europe/Berlin', durationMs: 3 * HOUR_MS }],
        quietHours: [{ from: '02:00', to: '03:30', timeZone: 'Europe/Berlin' }],
        tiers: { cold: { trim: { intensity: 'conservative' } } },
      });
      machine = it;
      const nights: string[] = [];
      for (let minute = 0; minute < 7 * 1440; minute += NIGHT_TICK_MINUTES) {
        it.nowMs += NIGHT_TICK_MINUTES * MINUTE_MS;
        if (minute % 420 === 0) await it.litter();
        if (await it.tick(minute % 70 === 0)) nights.push(local(it.nowMs));
      }
      expect(nights.map((night) => night.slice(11))).toEqual(
        Array.from({ length: 7 }, () => '03:30'),
      );
      expect(new Set(nights.map((night) => night.slice(0, 10))).size).toBe(7);
    },
    TIMEOUT_MS,
  );
});
