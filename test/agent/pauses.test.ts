/**
 * Pauses with a reason and an end: kept in SQLite, ended by whoever looks first, shown and entered in
 * the ledger. The clocks are the test's own, but for the last test, which has a real agent.
 */

import { expect, it } from 'vitest';
import { beginDefrag } from '../../src/cli/run-control.js';
import { setDefragPaused } from '../../src/cli/run-pause.js';
import type { LedgerEntry } from '../../src/domain/ledger.js';
import { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { ExtentPoolGround } from '../../src/pool/extent-pool/reclamation-ground.js';
import { pauseOf, pauseOfRun } from '../../src/pool/pauses.js';
import { beginReclamation, setReclamationPaused } from '../../src/pool/reclamation.js';
import { expirePauses } from '../../src/processors/pauses.js';
import {
  beginRun,
  expectIntact,
  makeLab,
  runOf,
  untilMoved,
  untilOver,
  withAgent,
} from '../support/agent-lab.js';
import { closePool, makePool } from '../support/pool-fixture.js';

const HOUR_MS = 3_600_000;
const BACKUP = { reason: 'backup', forMs: 2 * HOUR_MS };

function entriesOf({ context }: ExtentPool): LedgerEntry[] {
  expect(context.store.ledger.verify().problem).toBe(null);
  return [...context.store.ledger.entries({})].map(({ entry }) => entry as LedgerEntry);
}

/** A run that nobody works on, in a pool that was closed and is opened with a clock of the test. */
async function pausedRun() {
  const made = makePool();
  await closePool(made);
  const clock = { nowMs: Date.now() };
  const pool = ExtentPool.open(made.path, { clock: () => clock.nowMs });
  const { store } = pool.context;
  const runId = store.runs.insert({
    ...{ kind: 'defrag', trigger: 'manual', intensity: 'low', threadCount: 1, diskId: null },
    ...{ secureErase: false, startedAtMs: clock.nowMs, plannedCount: 1, plannedBytes: 1 },
  });
  setDefragPaused(pool, true, BACKUP);
  const [{ hold }] = store.pauses.timed() as [ReturnType<typeof store.pauses.timed>[number]];
  const boot = hold.asOf.boot;
  if (!boot) throw new Error('this machine does not tell when it booted');
  const later = (ms: number) => ({ ...boot, sinceBootMs: boot.sinceBootMs + ms });
  return { pool, runId, clock, later, store };
}

it('shows who paused it, why and until when, and goes on by itself after that', async () => {
  const { pool, runId, clock, later, store } = await pausedRun();
  expect(pauseOfRun(pool.context, runId)).toEqual({
    ...{ actor: store.ledger.actor, reason: 'backup', pausedAtMs: clock.nowMs },
    untilMs: expect.closeTo(clock.nowMs + 2 * HOUR_MS, -4),
  });
  store.ledger.actor = 'agent';
  expirePauses(pool.context, later(2 * HOUR_MS - 1));
  expect(runOf(pool, runId).state).toBe('paused');
  expirePauses(pool.context, later(2 * HOUR_MS));
  expirePauses(pool.context, later(2 * HOUR_MS));
  expect(runOf(pool, runId).state).toBe('running');
  expect(pauseOfRun(pool.context, runId)).toBe(null);
  const [paused, resumed] = entriesOf(pool).slice(-2);
  expect(paused).toMatchObject({
    ...{ event: 'run-paused', runId, reason: 'backup' },
    figures: { kind: 'defrag', forMs: 2 * HOUR_MS, untilMs: clock.nowMs + 2 * HOUR_MS },
  });
  expect(resumed).toMatchObject({ event: 'run-resumed', runId, actor: 'agent' });
  expect(resumed?.reason).toBe(`the pause by ${paused?.actor} is over`);
  await closePool(pool);
});

it('lasts as long over clocks that jump and a reboot in the middle', async () => {
  const { pool, runId, clock, later, store } = await pausedRun();
  const beganMs = clock.nowMs;
  clock.nowMs = beganMs + 365 * 24 * HOUR_MS;
  expirePauses(pool.context, later(HOUR_MS));
  clock.nowMs = 1;
  expirePauses(pool.context, later(HOUR_MS));
  expect(runOf(pool, runId).state).toBe('paused');

  // Half an hour of it is left when the machine has booted again; from then on that boot counts.
  clock.nowMs = beganMs + 1.5 * HOUR_MS;
  const boot = { bootId: 'another', sinceBootMs: 4_000 };
  expirePauses(pool.context, boot);
  clock.nowMs = beganMs + 100 * HOUR_MS;
  expirePauses(pool.context, { ...boot, sinceBootMs: 4_000 + 0.5 * HOUR_MS - 1 });
  expect(runOf(pool, runId).state).toBe('paused');
  expirePauses(pool.context, { ...boot, sinceBootMs: 4_000 + 0.5 * HOUR_MS });
  expect(runOf(pool, runId).state).toBe('running');
  expect(store.pauses.timed()).toEqual([]);
  await closePool(pool);
});

it('is forgotten with whatever ends it: resume, start, stop', async () => {
  const { pool, runId, later, store } = await pausedRun();
  setDefragPaused(pool, false);
  expect(pauseOfRun(pool.context, runId)).toBe(null);
  setDefragPaused(pool, true, { reason: 'again', forMs: null });
  expect(pauseOfRun(pool.context, runId)).toMatchObject({ reason: 'again', untilMs: null });
  setDefragPaused(pool, true, BACKUP);
  beginDefrag(pool, { intensity: 'low', threadCount: 1, once: true });
  expect(pauseOfRun(pool.context, runId)).toBe(null);
  expect(entriesOf(pool).at(-1)).toMatchObject({ event: 'run-resumed', reason: '`defrag start`' });
  setDefragPaused(pool, true, BACKUP);
  store.runs.setState(runId, 'stopped', Date.now());
  expect(store.pauses.timed()).toEqual([]);
  expirePauses(pool.context, later(9 * HOUR_MS));
  expect(runOf(pool, runId).state).toBe('stopped');
  await closePool(pool);
});

it('of a reclamation holds it with its run, and ends for both', async () => {
  const { pool, runId, clock, later, store } = await pausedRun();
  store.runs.setState(runId, 'stopped', clock.nowMs);
  const { reclamationId } = beginReclamation(new ExtentPoolGround(pool.context), {
    ...{ trigger: 'manual', scope: null, reason: 'a test', actor: 'test' },
  });
  const stepRunId = store.runs.insert({
    ...{ kind: 'defrag', trigger: 'reclamation', intensity: 'low', threadCount: 1, diskId: null },
    ...{ secureErase: false, startedAtMs: clock.nowMs, plannedCount: 1, plannedBytes: 1 },
  });
  expect(entriesOf(pool).at(-1)).toMatchObject({ event: 'run-began', reclamationId });
  store.reclamations.beginStep(reclamationId, 0, stepRunId, clock.nowMs);
  setReclamationPaused({ context: pool.context }, true, BACKUP);
  const subject = { kind: 'reclamation', id: reclamationId } as const;
  expect(pauseOf(pool.context, subject)).toMatchObject({ reason: 'backup' });
  expect(pauseOfRun(pool.context, stepRunId)).toMatchObject({ reason: 'backup' });
  expect(runOf(pool, stepRunId).state).toBe('paused');

  expirePauses(pool.context, later(3 * HOUR_MS));
  expect(store.reclamations.open()?.state).toBe('running');
  expect(runOf(pool, stepRunId).state).toBe('running');
  expect(pauseOf(pool.context, subject)).toBe(null);
  const told = entriesOf(pool).filter((entry) => entry.reclamationId === reclamationId);
  expect(told.map(({ event }) => event)).toEqual(
    expect.arrayContaining([
      'reclamation-paused',
      'reclamation-resumed',
      'run-paused',
      'run-resumed',
    ]),
  );
  await closePool(pool);
});

it('ends by a real agent, also one that begins after it was over, and all of it is in the ledger', async () => {
  const lab = await makeLab({ objectCount: 2 });
  const { pool } = lab;
  const { runId } = beginRun(pool, { intensity: 'low' });
  await withAgent(lab, async () => {
    await untilMoved(pool, runId, 2);
    setDefragPaused(pool, true, { reason: 'a moment', forMs: 1_500 });
  });
  expect(runOf(pool, runId).state).toBe('paused');
  const run = await withAgent(lab, () => untilOver(pool, runId));
  expect(run.state).toBe('completed');
  const told = entriesOf(pool).filter((entry) => entry.runId === runId);
  expect(told.map(({ event }) => event)).toEqual([
    ...['run-began', 'run-paused', 'run-resumed', 'run-ended'],
  ]);
  expect(told.map(({ actor }) => actor === 'agent')).toEqual([false, false, true, true]);
  expect(told.at(-1)?.figures).toMatchObject({
    state: 'completed',
    progress: { doneCount: run.progress.doneCount, doneBytes: run.progress.doneBytes },
  });
  await expectIntact(lab);
});
