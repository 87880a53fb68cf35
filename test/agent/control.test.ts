/**
 * Stop, pause, resume and the intensity of a run that is under way.
 *
 * Low intensity moves at most ten extents a second, so that a run of dozens is caught in the middle;
 * what is asserted is how many extents it still moves, not how long that takes.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { beginDefrag, stopDefrag } from '../../src/cli/run-control.js';
import { setDefragPaused } from '../../src/cli/run-pause.js';
import {
  beginRun,
  candidateCount,
  expectIntact,
  makeLab,
  runOf,
  until,
  untilMoved,
  untilOver,
  withAgent,
} from '../support/agent-lab.js';
import { spawnAgent } from '../support/agent-process.js';
import { addAndJudge, withQueues } from '../support/agent-queues.js';

/** More than enough for an extent under way, and for a batch that should not begin. */
const QUIET_MS = 700;

it('stops after the extents under way, and a new run finishes the rest', async () => {
  const lab = await makeLab({ objectCount: 6 });
  const { pool } = lab;
  const { runId } = beginRun(pool, { intensity: 'medium' });
  await withAgent(lab, async () => {
    await untilMoved(pool, runId, 1);
    stopDefrag(pool);
    const { progress } = runOf(pool, runId);
    await sleep(QUIET_MS);
    const stopped = runOf(pool, runId);
    expect(stopped.state).toBe('stopped');
    // What its threads had begun, which is part of a batch of five; no other batch began.
    expect(stopped.progress.doneCount - progress.doneCount).toBeLessThanOrEqual(5);
    expect(candidateCount(pool)).toBeGreaterThan(0);

    const again = beginRun(pool, { intensity: 'high' });
    expect(again.runId).not.toBe(runId);
    expect(await untilOver(pool, again.runId)).toMatchObject({ state: 'completed' });
    expect(candidateCount(pool)).toBe(0);
  });
  await expectIntact(lab);
});

it('pauses after the extent under way and goes on when resumed', async () => {
  const lab = await makeLab({ objectCount: 6 });
  const { pool } = lab;
  const { runId } = beginRun(pool, { intensity: 'low' });
  await withAgent(lab, async () => {
    for (const count of [2, 5, 9]) {
      await untilMoved(pool, runId, count);
      const before = setDefragPaused(pool, true).progress.doneCount;
      await sleep(QUIET_MS);
      const paused = runOf(pool, runId);
      expect(paused.state).toBe('paused');
      expect(paused.progress.doneCount - before).toBeLessThanOrEqual(2);
      setDefragPaused(pool, false);
    }
    beginDefrag(pool, { intensity: 'high', threadCount: 1, once: true });
    expect(await untilOver(pool, runId)).toMatchObject({ state: 'completed' });
  });
  await expectIntact(lab);
});

it('stays paused over a restart of the agent', async () => {
  const lab = await makeLab({ objectCount: 2 });
  const { pool } = lab;
  const { runId } = beginRun(pool, { intensity: 'low' });
  await withAgent(lab, async () => {
    await untilMoved(pool, runId, 2);
    setDefragPaused(pool, true);
  });
  const { doneCount } = runOf(pool, runId).progress;
  await withAgent(lab, async () => {
    await sleep(QUIET_MS);
    expect(runOf(pool, runId)).toMatchObject({ state: 'paused', progress: { doneCount } });
    setDefragPaused(pool, false);
    await untilOver(pool, runId);
  });
  await expectIntact(lab);
});

it('changes its pace in the middle of a run', async () => {
  const lab = await makeLab({ objectCount: 6 });
  const { pool } = lab;
  const { runId } = beginRun(pool, { intensity: 'low' });
  await withAgent(lab, () =>
    withQueues(lab, async ({ queues }) => {
      const queue = queues.queue('defrag-batch');
      await untilMoved(pool, runId, 2);
      expect(await queue.getGlobalRateLimit()).toEqual({ max: 1, duration: 100 });
      beginDefrag(pool, { intensity: 'medium', threadCount: 2, once: true });
      await until('the rate is that of medium', async () => {
        return (await queue.getGlobalRateLimit())?.duration === 250;
      });
      const run = await untilOver(pool, runId);
      expect(run).toMatchObject({ state: 'completed', intensity: 'medium', threadCount: 2 });
      expect(run.progress.doneCount).toBe(run.progress.plannedCount);
      // 36 extents, of which not all were moved one by one.
      expect(run.batchIndex).toBeLessThan(32);
    }),
  );
  await expectIntact(lab);
});

it('begins a pass by itself while enabled, and none after --once', async () => {
  const lab = await makeLab({ objectCount: 1 });
  const { pool } = lab;
  const pass = { v: 1, poolId: pool.id, kind: 'pass' };
  await withAgent(lab, () =>
    withQueues(lab, async (view) => {
      const off = await addAndJudge(view, 'defrag-batch', pass);
      expect(off.returnvalue).toEqual({ passRunId: null });

      pool.context.store.settings.write({ defragEnabled: true, defragIntensity: 'high' });
      const on = await addAndJudge(view, 'defrag-batch', pass);
      // The scheduler's own pass may have come first.
      const runId = on.returnvalue.passRunId ?? pool.context.store.runs.last('defrag')?.runId;
      expect(runId).toBeTypeOf('number');
      expect(await untilOver(pool, runId)).toMatchObject({ state: 'completed', trigger: 'pass' });

      // Nothing is fragmented any more.
      const idle = await addAndJudge(view, 'defrag-batch', pass);
      expect(idle.returnvalue).toEqual({ passRunId: null });
    }),
  );
  await expectIntact(lab);
});

it('has a pass and a tick on its schedule, which looking again does not put off', async () => {
  const lab = await makeLab({ objectCount: 1 });
  await withAgent(lab, () =>
    withQueues(lab, async ({ queues }) => {
      const next = async () => {
        const [pass] = await queues.queue('defrag-batch').getJobSchedulers();
        const [tick] = await queues.queue('policy-tick').getJobSchedulers();
        return [pass?.key, pass?.every, pass?.next, tick?.key, tick?.every, tick?.next];
      };
      // The first of each is due at once; after it the next one is a minute away.
      const before = await until('both are scheduled', async () => {
        const found = await next();
        const dueAtMs = Math.min(Number(found[2]), Number(found[5]));
        return dueAtMs > Date.now() + 30_000 ? found : null;
      });
      expect(before).toMatchObject([
        'defrag-pass',
        60_000,
        expect.any(Number),
        'policy-tick',
        60_000,
        expect.any(Number),
      ]);
      for (let n = 0; n < 3; n += 1) await queues.schedule();
      await sleep(100);
      expect(await next()).toEqual(before);
      for (const kind of ['defrag-batch', 'policy-tick'] as const) {
        expect(await queues.queue(kind).getDelayedCount()).toBe(1);
      }
    }),
  );
});

it('moves hot extents before cold ones', async () => {
  const lab = await makeLab();
  const { pool } = lab;
  for (let n = 0; n < 5; n += 1) for await (const _ of pool.read('object/3'));
  const { runId } = beginRun(pool, { intensity: 'low' });
  // One extent a batch: it ends when two replicas of each of the three hot ones have moved.
  const end = await spawnAgent({ ...lab.env, DYNAMICFS_CRASH_AT: 'rewrite-swapped:6' }).ended();
  expect(end.signal, end.stderr).toBe('SIGKILL');
  expect(runOf(pool, runId).state).toBe('running');
  for (const { name } of pool.list()) {
    const moved = name === 'object/3' ? 3 : 1;
    expect(pool.extents(name).map((one) => [name, one.generation])).toEqual(
      Array.from({ length: 3 }, () => [name, moved]),
    );
  }
  await expectIntact(lab);
});
