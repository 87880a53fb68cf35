/**
 * Jobs of a reclamation that somebody took away: Bull Board, `jobs`, or whoever reaches Redis may remove,
 * fail and obliterate what they like. SQLite knows what is wanted, so a reclamation goes on, or ends and
 * says why; it never waits for a job that is not there.
 */

import { UnrecoverableError } from 'bullmq';
import { afterEach, expect, it, vi } from 'vitest';
import { reclamationStatus } from '../../src/cli/reclamation-control.js';
import { reclamationStatusText } from '../../src/cli/reclamation-text.js';
import type { Reclamation } from '../../src/domain/reclamation.js';
import { ExtentPoolGround } from '../../src/pool/extent-pool/reclamation-ground.js';
import { beginReclamation } from '../../src/pool/reclamation.js';
import { type JobKind, queuePrefix } from '../../src/queue/names.js';
import { phaseJobId } from '../../src/queue/reclamation-flow.js';
import {
  candidateCount,
  expectIntact,
  type Lab,
  makeLab,
  until,
  withAgent,
} from '../support/agent-lab.js';
import { type QueueView, withQueues } from '../support/agent-queues.js';

afterEach(() => {
  vi.unstubAllEnvs();
});

const REQUEST = { trigger: 'manual', scope: null, reason: 'a test', actor: 'test' } as const;

/** The steps of a reclamation of all tiers. */
const FIRST_ANALYSIS = 0;
const DEFRAG_WARM = 2;
const TRIM = 4;

/** Everything that was put is warm: the run of that tier does all the work. */
function begin({ pool }: Lab, intensity: 'low' | 'high' = 'high'): number {
  const tier = { defrag: { enabled: true, minFragments: 2, intensity } } as const;
  const overrides = { tiers: { hot: tier, warm: tier, cold: tier } };
  pool.context.store.policies.set({ preset: 'balanced', overrides }, Date.now(), 'test');
  return beginReclamation(new ExtentPoolGround(pool.context), REQUEST).reclamationId;
}

async function untilEnded({ pool }: Lab, reclamationId: number): Promise<Reclamation> {
  const { reclamations } = pool.context.store;
  await until('the reclamation has ended', () => reclamations.get(reclamationId)?.endedAtMs);
  return reclamations.get(reclamationId) as Reclamation;
}

async function jobOf(
  { queues }: QueueView,
  kind: JobKind,
  reclamationId: number,
  stepIndex: number | null,
) {
  const jobId = phaseJobId(reclamationId, stepIndex);
  return await until(`job ${jobId} is there`, () => queues.queue(kind).getJob(jobId));
}

/** A reclamation whose first analysis waits; `meddle` gets its jobs, and then the analysis may begin. */
async function withWaitingFlow(
  meddle: (lab: Lab, view: QueueView, reclamationId: number) => Promise<void>,
): Promise<{ lab: Lab; ended: Reclamation }> {
  const lab = await makeLab({ objectCount: 2 });
  const ended = await withAgent(lab, () =>
    withQueues(lab, async (view) => {
      await view.queues.queue('analyze').pause();
      const reclamationId = begin(lab);
      await jobOf(view, 'analyze', reclamationId, FIRST_ANALYSIS);
      await meddle(lab, view, reclamationId);
      await view.queues.queue('analyze').resume();
      const one = await untilEnded(lab, reclamationId);
      await until('the flow is over', async () => {
        const whole = await jobOf(view, 'policy-tick', reclamationId, null);
        return whole.finishedOn !== undefined;
      });
      return one;
    }),
  );
  await expectIntact(lab);
  return { lab, ended };
}

it('waits while somebody has paused a queue of it, and its status says which', async () => {
  const { lab } = await withWaitingFlow(async ({ pool, env }) => {
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
    const status = await reclamationStatus(pool.path, 0);
    expect(status.pausedQueues).toEqual(['analyze']);
    const text = reclamationStatusText(status, Date.now(), true);
    expect(text).toContain('The queue analyze is paused in BullMQ');
  });
  // Without an agent there is no Redis to ask.
  begin(lab);
  expect(await reclamationStatus(lab.pool.path, 0)).toMatchObject({ pausedQueues: null });
});

it.each<[what: string, kind: JobKind, stepIndex: number | null]>([
  ['its first analysis', 'analyze', FIRST_ANALYSIS],
  ['the middle of it with all before', 'defrag-batch', DEFRAG_WARM],
  ['all of it', 'policy-tick', null],
])('goes on when somebody removed %s', async (_, kind, stepIndex) => {
  const { lab, ended } = await withWaitingFlow(async (_lab, view, reclamationId) => {
    await (await jobOf(view, kind, reclamationId, stepIndex)).remove();
  });
  expect(ended).toMatchObject({ state: 'completed', outcome: { defragmentedCount: 12 } });
  expect(candidateCount(lab.pool)).toBe(0);
});

it('goes on when somebody failed its analysis, and with it all that waited', async () => {
  const { ended } = await withWaitingFlow(async ({ pool }, view, reclamationId) => {
    const analysis = await jobOf(view, 'analyze', reclamationId, FIRST_ANALYSIS);
    // In the hands of a worker that is none of the agent's: a paused queue gives jobs to nobody.
    const { id = '' } = analysis;
    const queue = `${queuePrefix(pool.id)}:analyze`;
    await view.redis
      .multi()
      .zrem(`${queue}:prioritized`, id)
      .lpush(`${queue}:active`, id)
      .set(`${queue}:${id}:lock`, 'somebody')
      .exec();
    await analysis.moveToFailed(new UnrecoverableError('no reason'), 'somebody');
    expect(await analysis.getState()).toBe('failed');
  });
  expect(ended).toMatchObject({ state: 'completed', outcome: { defragmentedCount: 12 } });
});

it('fails, and says why, when BullMQ gave its analysis up', async () => {
  const reason = 'job stalled more than allowable limit';
  const { lab, ended } = await withWaitingFlow(async ({ pool }, { redis }, reclamationId) => {
    // What BullMQ notes of a job whose agent died with it, again and again.
    const key = `${queuePrefix(pool.id)}:analyze:${phaseJobId(reclamationId, FIRST_ANALYSIS)}`;
    await redis.hset(key, 'defa', reason);
  });
  expect(ended).toMatchObject({
    state: 'failed',
    error: { code: 'ERR_QUEUE', message: expect.stringContaining(reason) },
    outcome: { defragmentedCount: 0 },
  });
  const [first, ...later] = lab.pool.context.store.reclamations.steps(ended.reclamationId);
  expect(first).toMatchObject({ state: 'failed', reason: expect.stringContaining(reason) });
  expect(later.filter(({ state }) => state !== 'skipped')).toEqual([]);
});

it('goes on when somebody obliterated every queue while it moved data', async () => {
  const lab = await makeLab({ objectCount: 3 });
  const { store } = lab.pool.context;
  await withAgent(lab, () =>
    withQueues(lab, async (view) => {
      const reclamationId = begin(lab, 'low');
      await until('something was moved', () => store.runs.open('defrag')?.progress.doneCount);
      await jobOf(view, 'trim-batch', reclamationId, TRIM);
      for (const queue of view.queues.all()) await queue.obliterate({ force: true });
      expect(await untilEnded(lab, reclamationId)).toMatchObject({
        state: 'completed',
        outcome: { defragmentedCount: 18 },
      });
    }),
  );
  await expectIntact(lab);
});
