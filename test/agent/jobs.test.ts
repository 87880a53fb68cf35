/**
 * What an agent does with jobs that are not the ones it made: garbage, another pool's, too old, too
 * many. Whoever can write to Redis gets nothing done but the work that a pool has on its books.
 *
 * The pool is compared as a whole before and after each job, on an agent that has nothing to do.
 */

import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import type { JobKind } from '../../src/queue/names.js';
import { PRIORITY } from '../../src/queue/names.js';
import { PoolQueues } from '../../src/queue/pool-queues.js';
import {
  beginRun,
  expectIntact,
  makeLab,
  runOf,
  stateOf,
  untilMoved,
  untilOver,
  withAgent,
} from '../support/agent-lab.js';
import { addAndJudge, withQueues } from '../support/agent-queues.js';

function codeOf(failedReason: string | undefined): string {
  return JSON.parse(failedReason ?? '{}').code;
}

it('refuses garbage in every queue, and goes on', async () => {
  const lab = await makeLab();
  const { runId } = beginRun(lab.pool);
  lab.pool.context.store.runs.setState(runId, 'paused', Date.now());
  const { pool } = lab;
  const batch = { v: 1, poolId: pool.id, kind: 'batch', runId, batchIndex: 0, epoch: 1 };
  const garbage: [JobKind, unknown][] = [
    ['analyze', null],
    ['analyze', { v: 1, poolId: pool.id, path: '/etc' }],
    ['defrag-batch', 'rm -rf /'],
    ['defrag-batch', { ...batch, runId: String(runId) }],
    ['defrag-batch', { ...batch, v: 2 }],
    ['defrag-batch', { ...batch, command: 'x' }],
    ['trim-batch', { ...batch, batchIndex: -1 }],
    ['policy-tick', []],
  ];
  await withAgent(lab, () =>
    withQueues(lab, async (view) => {
      // The first ticks of a new agent may write to the pool.
      await addAndJudge(view, 'policy-tick', { v: 1, poolId: pool.id });
      const before = stateOf(pool);
      for (const [kind, data] of garbage) {
        const job = await addAndJudge(view, kind, data);
        expect([codeOf(job.failedReason), job.attemptsMade]).toEqual(['ERR_USAGE', 1]);
      }
      expect(stateOf(pool)).toEqual(before);

      pool.context.store.runs.setState(runId, 'running', Date.now());
      expect(await untilOver(pool, runId)).toMatchObject({ state: 'completed' });
    }),
  );
  await expectIntact(lab);
});

it('refuses a job that names another pool, though its run has the same number', async () => {
  const lab = await makeLab();
  const { runId } = beginRun(lab.pool);
  lab.pool.context.store.runs.setState(runId, 'paused', Date.now());
  const foreign = { v: 1, poolId: randomUUID(), kind: 'batch', runId, batchIndex: 0, epoch: 1 };
  await withAgent(lab, () =>
    withQueues(lab, async (view) => {
      await addAndJudge(view, 'policy-tick', { v: 1, poolId: lab.pool.id });
      const before = stateOf(lab.pool);
      const job = await addAndJudge(view, 'defrag-batch', foreign);
      expect(codeOf(job.failedReason)).toBe('ERR_POLICY_REFUSED');
      expect(stateOf(lab.pool)).toEqual(before);
    }),
  );
});

it('leaves jobs of a pool alone that is not registered here', async () => {
  const [lab, stranger] = [await makeLab(), await makeLab({ objectCount: 1 })];
  const { runId } = beginRun(stranger.pool);
  await withAgent(lab, () =>
    withQueues(lab, async (view) => {
      const before = stateOf(stranger.pool);
      const queues = new PoolQueues(stranger.pool.id, view.redis);
      const data = {
        v: 1,
        poolId: stranger.pool.id,
        kind: 'batch',
        runId,
        batchIndex: 0,
        epoch: 0,
      };
      const job = await queues.queue('defrag-batch').add('defrag-batch', data);
      // By then the agent has worked on its own pool.
      await addAndJudge(view, 'analyze', { v: 1, poolId: lab.pool.id });
      expect(await job.getState()).toBe('waiting');
      expect(stateOf(stranger.pool)).toEqual(before);
      await queues.close();
    }),
  );
});

it('sets stale and repeated batches aside, and the run completes', async () => {
  const lab = await makeLab();
  const { pool } = lab;
  const { runId } = beginRun(pool, { intensity: 'low' });
  await withAgent(lab, () =>
    withQueues(lab, async ({ queues, redis }) => {
      await untilMoved(pool, runId, 2);
      const epoch = pool.context.store.owner.read()?.epoch ?? 0;
      const current = { v: 1, poolId: pool.id, kind: 'batch', runId, epoch };
      const { batchIndex } = runOf(pool, runId);
      const copies = [
        { ...current, batchIndex: 0 },
        { ...current, batchIndex: batchIndex + 1_000 },
        { ...current, batchIndex, epoch: epoch - 1 },
        { ...current, batchIndex, epoch: epoch + 1 },
        { ...current, batchIndex, runId: runId + 1 },
      ];
      // Twice the same one, as BullMQ delivers a job that it believes stalled.
      const twice = [batchIndex + 1, batchIndex + 1, batchIndex + 2, batchIndex + 2];
      const jobs = [];
      for (const data of [
        ...copies,
        ...twice.map((index) => ({ ...current, batchIndex: index })),
      ]) {
        const options = { priority: PRIORITY.manual };
        jobs.push(await queues.queue('defrag-batch').add('defrag-batch', data, options));
      }
      const run = await untilOver(pool, runId);
      expect(run).toMatchObject({ state: 'completed', progress: { failedCount: 0 } });
      expect(run.progress.doneCount).toBe(run.progress.plannedCount);
      await addAndJudge({ queues, redis }, 'defrag-batch', { ...current, batchIndex: 0 });
      for (const job of jobs.slice(0, copies.length)) {
        const after = await queues.queue('defrag-batch').getJob(job.id ?? '');
        expect(after?.returnvalue).toMatchObject({ outcome: 'superseded', processedCount: 0 });
      }
    }),
  );
  await expectIntact(lab);
});
