/** Reclamations as a whole, with a real agent: steps, flow, pause, stop, restart, Redis that forgets. */

import { expect, it } from 'vitest';
import type { Reclamation } from '../../src/domain/reclamation.js';
import { ExtentPoolGround } from '../../src/pool/extent-pool/reclamation-ground.js';
import {
  beginReclamation,
  setReclamationPaused,
  stopReclamation,
} from '../../src/pool/reclamation.js';
import { phaseJobId } from '../../src/queue/reclamation-flow.js';
import {
  beginRun,
  candidateCount,
  expectIntact,
  type Lab,
  makeLab,
  until,
  untilOver,
  withAgent,
} from '../support/agent-lab.js';
import { runCommand } from '../support/agent-process.js';
import { withQueues } from '../support/agent-queues.js';

const REQUEST = { trigger: 'manual', scope: null, reason: 'a test', actor: 'test' } as const;

function ground({ pool }: Pick<Lab, 'pool'>): ExtentPoolGround {
  return new ExtentPoolGround(pool.context);
}

function get({ pool }: Lab, reclamationId: number): Reclamation {
  const one = pool.context.store.reclamations.get(reclamationId);
  if (!one) throw new Error(`no reclamation ${reclamationId}`);
  return one;
}

function steps({ pool }: Lab, reclamationId: number) {
  return pool.context.store.reclamations.steps(reclamationId);
}

async function untilEnded(lab: Lab, reclamationId: number): Promise<Reclamation> {
  await until('the reclamation has ended', () => get(lab, reclamationId).endedAtMs !== null);
  return get(lab, reclamationId);
}

/** Everything that was put is warm: no tier is left out. */
function everyTier(
  { pool }: Lab,
  slow = false,
  budgets: { readonly timeBudgetMs?: number; readonly wearBudgetBytesPerDay?: number } = {},
): void {
  const tier = {
    defrag: { enabled: true, minFragments: 2, intensity: slow ? 'low' : 'high' },
  } as const;
  pool.context.store.policies.set(
    { preset: 'balanced', overrides: { ...budgets, tiers: { hot: tier, warm: tier, cold: tier } } },
    Date.now(),
    'test',
  );
}

it('analyzes, defragments each tier, trims and analyzes again, and tells what came of it', async () => {
  const lab = await makeLab();
  everyTier(lab);
  const { reclamationId } = beginReclamation(ground(lab), REQUEST);
  await withAgent(lab, async () => {
    const ended = await untilEnded(lab, reclamationId);
    expect(ended).toMatchObject({
      state: 'completed',
      endCause: null,
      helped: true,
      before: { fragmentationRatio: 1 },
      after: { fragmentationRatio: 0, pendingBytes: 0 },
      outcome: { defragmentedCount: 24, failedCount: 0 },
    });
    expect(ended.outcome.reclaimedBytes).toBeGreaterThan(0);
    const done = steps(lab, reclamationId);
    expect(done.map(({ plan }) => (plan.what === 'defrag' ? plan.tier : plan.what))).toEqual([
      ...['analyze', 'hot', 'warm', 'cold', 'trim', 'analyze'],
    ]);
    // All extents are of one tier; the others are left alone, and say why.
    const left = done.filter(({ state }) => state === 'skipped');
    expect(left.map(({ reason }) => reason).filter((reason) => reason === null)).toEqual([]);
    expect(done.filter(({ state }) => state !== 'skipped' && state !== 'done')).toEqual([]);
    await withQueues(lab, async ({ queues }) => {
      await until('the flow is over', async () => {
        const whole = await queues.queue('policy-tick').getJob(phaseJobId(reclamationId, null));
        return whole?.finishedOn !== undefined && whole.returnvalue?.state === 'completed';
      });
      // As every job: tried again, and forgotten some day.
      const analysis = await queues.queue('analyze').getJob(phaseJobId(reclamationId, 0));
      expect(analysis?.opts).toMatchObject({ attempts: 3, removeOnComplete: { count: 200 } });
    });
  });
  expect(candidateCount(lab.pool)).toBe(0);
  await expectIntact(lab);
});

it('leaves a tier alone whose threshold is not passed, and says so', async () => {
  const lab = await makeLab({ objectCount: 2 });
  lab.pool.context.store.policies.set(
    {
      preset: 'balanced',
      overrides: {
        defrag: { fragmentationThresholdRatio: 1 },
        tiers: { hot: { defrag: { fragmentationThresholdRatio: 1 } } },
      },
    },
    Date.now(),
    'test',
  );
  const { reclamationId } = beginReclamation(ground(lab), REQUEST);
  await withAgent(lab, async () => {
    expect(await untilEnded(lab, reclamationId)).toMatchObject({
      state: 'completed',
      outcome: { defragmentedCount: 0 },
    });
  });
  const reasons = steps(lab, reclamationId).map(({ reason }) => reason);
  expect(reasons).toContain('100.0 % fragmented, not more than 100.0 %');
  expect(candidateCount(lab.pool)).toBe(12);
});

it('is paused, resumed and stopped as one', async () => {
  const lab = await makeLab({ objectCount: 6 });
  everyTier(lab, true);
  const { store } = lab.pool.context;
  const { reclamationId } = beginReclamation(ground(lab), REQUEST);
  await withAgent(lab, async () => {
    const run = await until('something was moved', () => {
      const open = store.runs.open('defrag');
      return open && open.progress.doneCount > 0 ? open : null;
    });
    expect(() => beginRun(lab.pool)).toThrow(/reclamation 1 is defragmenting/);
    expect(setReclamationPaused(ground(lab), true).state).toBe('paused');
    expect(store.runs.get(run.runId)?.state).toBe('paused');
    expect(setReclamationPaused(ground(lab), false).state).toBe('running');
    expect(store.runs.get(run.runId)?.state).toBe('running');
    const { doneCount } = store.runs.get(run.runId)?.progress ?? { doneCount: 0 };
    await until(
      'it goes on',
      () => (store.runs.get(run.runId)?.progress.doneCount ?? 0) > doneCount,
    );

    expect(stopReclamation(ground(lab))).toMatchObject({ state: 'stopped' });
    expect(await untilOver(lab.pool, run.runId)).toMatchObject({ state: 'stopped' });
    const states = steps(lab, reclamationId).map(({ state }) => state);
    expect(states.filter((state) => state === 'waiting' || state === 'running')).toEqual([]);
    // Nothing of it is begun any more, and the pool takes the next one.
    const next = beginReclamation(ground(lab), REQUEST);
    stopReclamation(ground(lab));
    expect(get(lab, next.reclamationId).state).toBe('stopped');
  });
  expect(candidateCount(lab.pool)).toBeGreaterThan(0);
  await expectIntact(lab);
});

it('goes on after its agent was killed, and after Redis forgot it', async () => {
  const lab = await makeLab({ objectCount: 6 });
  everyTier(lab, true);
  const { store } = lab.pool.context;
  const { reclamationId } = beginReclamation(ground(lab), REQUEST);
  const moved = (count: number) => () =>
    (store.runs.open('defrag')?.progress.doneCount ?? 0) >= count;
  await withAgent(lab, async (agent) => {
    await until('something was moved', moved(2));
    await agent.kill();
  });
  expect(get(lab, reclamationId).state).toBe('running');
  everyTier(lab);
  await withAgent(lab, async () => {
    await until('more was moved', moved(4));
    await withQueues(lab, ({ redis }) => redis.flushall());
    expect(await untilEnded(lab, reclamationId)).toMatchObject({
      state: 'completed',
      outcome: { defragmentedCount: 36 },
    });
  });
  // One run of each step, however often its agent began anew.
  const runIds = steps(lab, reclamationId).flatMap(({ runId }) => runId ?? []);
  expect(
    store.runs
      .recent(100)
      .map(({ runId }) => runId)
      .sort(),
  ).toEqual(runIds.sort());
  await expectIntact(lab);
});

it('refuses a second one while it is open', async () => {
  const lab = await makeLab({ objectCount: 2 });
  beginReclamation(ground(lab), REQUEST);
  expect(() => beginReclamation(ground(lab), REQUEST)).toThrow(/reclamation 1 is running/);
});

it('ends the moves of the day with the wear budget, and trims all the same', async () => {
  const lab = await makeLab();
  everyTier(lab, false, { wearBudgetBytesPerDay: 1 });
  const { reclamationId } = beginReclamation(ground(lab), { ...REQUEST, trigger: 'schedule' });
  await withAgent(lab, async () => {
    const ended = await untilEnded(lab, reclamationId);
    expect(ended).toMatchObject({ state: 'completed', endCause: 'wear-budget' });
    // One batch of high intensity, before anything counted.
    expect(ended.outcome.defragmentedCount).toBeGreaterThan(0);
    expect(ended.outcome.defragmentedCount).toBeLessThanOrEqual(10);
    expect(ended.outcome.reclaimedBytes).toBeGreaterThan(0);
    const next = beginReclamation(ground(lab), { ...REQUEST, trigger: 'schedule' });
    const again = await untilEnded(lab, next.reclamationId);
    expect(again).toMatchObject({ endCause: 'wear-budget', outcome: { defragmentedCount: 0 } });
    // Who asks for one has decided that it is worth its wear.
    const manual = beginReclamation(ground(lab), REQUEST);
    expect(await untilEnded(lab, manual.reclamationId)).toMatchObject({ endCause: null });
  });
  expect(candidateCount(lab.pool)).toBe(0);
  await expectIntact(lab);
});

it('ends with its time budget, whatever is left', async () => {
  const lab = await makeLab({ objectCount: 6 });
  everyTier(lab, true, { timeBudgetMs: 1_500 });
  const { reclamationId } = beginReclamation(ground(lab), { ...REQUEST, trigger: 'schedule' });
  await withAgent(lab, async () => {
    const ended = await untilEnded(lab, reclamationId);
    expect(ended).toMatchObject({ state: 'completed', endCause: 'time-budget' });
    expect(lab.pool.context.store.runs.openRuns()).toEqual([]);
  });
  expect(candidateCount(lab.pool)).toBeGreaterThan(0);
  const { ledger } = lab.pool.context.store;
  expect(ledger.head()?.entryCount).toBeGreaterThan(2);
});

it('is stopped whole when one of its jobs is cancelled, and its flow ends', async () => {
  const lab = await makeLab({ objectCount: 6 });
  everyTier(lab, true);
  const { store } = lab.pool.context;
  const { reclamationId } = beginReclamation(ground(lab), REQUEST);
  await withAgent(lab, async () => {
    await until('something was moved', () => store.runs.open('defrag')?.progress.doneCount);
    const listed = await runCommand(['jobs', 'list', '--pool', lab.pool.path, '--json'], lab.env);
    const jobs: { jobId: string; state: string }[] = JSON.parse(listed.stdout).jobs;
    const whole = phaseJobId(reclamationId, null);
    expect(jobs.find(({ jobId }) => jobId === whole)?.state).toBe('waiting-children');
    const trim = phaseJobId(reclamationId, 4);
    const cancelled = await runCommand(['jobs', 'cancel', trim, '--pool', lab.pool.path], lab.env);
    expect(cancelled).toMatchObject({ code: 0 });
    expect(get(lab, reclamationId).state).toBe('stopped');
    expect(store.runs.openRuns()).toEqual([]);
    await withQueues(lab, async ({ queues }) => {
      await until('the flow is over', async () => {
        const job = await queues.queue('policy-tick').getJob(whole);
        return job?.finishedOn !== undefined;
      });
    });
  });
  await expectIntact(lab);
});
