/**
 * The agent is killed at every step of both protocols, for real: a named point in its code sends it
 * SIGKILL. An agent that is started after it must finish the run as if nothing had happened.
 *
 * Each case begins its run in SQLite before the agent starts, so that the point is reached at once,
 * and asks for a later pass of the point where one extent is not enough to leave things half done.
 */

import { expect, it } from 'vitest';
import { beginTrim } from '../../src/cli/run-control.js';
import { CRASH_POINTS } from '../../src/kernel/crash-point.js';
import { beginRun, expectIntact, makeLab, untilOver, withAgent } from '../support/agent-lab.js';
import { spawnAgent } from '../support/agent-process.js';

const REWRITE_POINTS = CRASH_POINTS.filter((point) => point.startsWith('rewrite-'));
const DISCARD_POINTS = CRASH_POINTS.filter((point) => point.startsWith('discard-'));

it.each(REWRITE_POINTS.map((point, n) => `${point}:${1 + (n % 3)}`))(
  'a defragmentation that was cut off at %s is finished by the next agent',
  async (point) => {
    const lab = await makeLab();
    const { runId } = beginRun(lab.pool);
    const end = await spawnAgent({ ...lab.env, DYNAMICFS_CRASH_AT: point }).ended();
    expect(end.signal, end.stderr).toBe('SIGKILL');

    const run = await withAgent(lab, () => untilOver(lab.pool, runId));
    expect(run).toMatchObject({ state: 'completed', error: null });
    expect(run.progress).toMatchObject({ failedCount: 0 });
    expect(lab.pool.analyze().fragmentationRatio).toBeLessThan(0.2);
    await expectIntact(lab);
  },
);

it.each(DISCARD_POINTS)('a trim that was cut off at %s is finished', async (point) => {
  const lab = await makeLab();
  const { run } = beginTrim(lab.pool, {
    disk: null,
    secureErase: point === 'discard-erased',
    trigger: 'manual',
  });
  const end = await spawnAgent({ ...lab.env, DYNAMICFS_CRASH_AT: point }).ended();
  expect(end.signal, end.stderr).toBe('SIGKILL');

  const ended = await withAgent(lab, () => untilOver(lab.pool, run.runId));
  expect(ended).toMatchObject({ state: 'completed', error: null });
  for (const disk of lab.pool.disks()) expect(disk.pendingBytes).toBe(0);
  await expectIntact(lab);
});
