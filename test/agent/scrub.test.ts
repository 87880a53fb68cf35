/**
 * Scrubs through the queue: what is bad is reported by name, left alone without --repair and repaired
 * with it; and a scrub that was stopped, or whose agent was killed, goes on where it was and counts
 * every replica once.
 */

import { expect, it } from 'vitest';
import { beginScrub, stopScrub } from '../../src/cli/scrub-control.js';
import { MIB } from '../../src/domain/units.js';
import {
  expectIntact,
  type Lab,
  makeNode,
  register,
  until,
  untilOver,
  withAgent,
} from '../support/agent-lab.js';
import { runCommand, spawnAgent } from '../support/agent-process.js';
import { content, corruptReplica, inventory, makePool, putFiles } from '../support/pool-fixture.js';

const FILE_COUNT = 20;

/** Two disks, and every object on both: 20 extents of 4 MiB, and one that is small. */
async function makeScrubLab(): Promise<Lab> {
  const pool = makePool({ diskCount: 2, replicaCount: 2, extentBytes: 4 * MIB });
  const large = Array.from({ length: FILE_COUNT }, (_, n) => [`file/${n}`, content(n, 4 * MIB)]);
  await putFiles(pool, { ...Object.fromEntries(large), small: content('small', 100) });
  const node = makeNode();
  register(node.stateDirectory, pool);
  return { pool, ...node, manifest: await inventory(pool) };
}

it('reports what is bad by name, and repairs it when it is asked to', async () => {
  const lab = await makeScrubLab();
  const { pool } = lab;
  const { store } = pool.context;
  const names = ['file/3', 'file/17', 'small'];
  const idOf = (name: string) => pool.extents(name)[0]?.extentId ?? 0;
  for (const name of names) corruptReplica(pool, idOf(name), 2);
  await withAgent(lab, async () => {
    const scrub = (...args: string[]) =>
      runCommand(['scrub', ...args, '--pool', pool.path, '--intensity', 'high'], lab.env);
    const found = await scrub('start', '--wait');
    expect(found).toMatchObject({ code: 64 });
    for (const name of names) {
      expect(found.stdout).toMatch(new RegExp(`  ${name}#0 on .*disk-2: wrong checksum`));
    }
    expect(store.repairs.all().map(({ held }) => held)).toEqual([true, true, true]);
    expect(store.repairs.planDue(Number.MAX_SAFE_INTEGER).count).toBe(0);

    const repaired = await scrub('--repair', '--wait');
    expect(repaired).toMatchObject({ code: 0 });
    expect(repaired.stdout).toContain('  Bad: 3\n  Repaired: 3\n  Unrepairable: 0');
    expect(store.repairs.all()).toEqual([]);
    expect(store.runs.last('repair')).toBeNull();
  });
  await expectIntact(lab);
});

it('goes on where it was stopped, or its agent killed, and counts every replica once', async () => {
  const lab = await makeScrubLab();
  const { pool } = lab;
  const { store } = pool.context;
  const intent = { repair: false, intensity: 'low', threadCount: 1, fromStart: false } as const;
  const first = beginScrub(pool, null, intent).run;
  expect(first.progress.plannedCount).toBe(2 * (FILE_COUNT + 1));
  const verifiedBy = (runId: number) => store.runs.get(runId)?.progress.processedCount ?? 0;
  const agent = spawnAgent(lab.env);
  let second = first;
  try {
    await until('a batch is done', () => verifiedBy(first.runId) > 0);
    expect(stopScrub(pool)?.runId).toBe(first.runId);
    const { run, continuesRunId } = beginScrub(pool, null, intent);
    expect(continuesRunId).toBe(first.runId);
    second = run;
    await until('another batch is done', () => verifiedBy(second.runId) > 0);
  } finally {
    await agent.kill();
  }
  expect(store.runs.get(second.runId)?.state).toBe('running');
  store.runs.setIntensity(second.runId, 'high', 2);
  const ended = await withAgent(lab, () => untilOver(pool, second.runId));
  expect(ended).toMatchObject({
    state: 'completed',
    progress: { failedCount: 0, skippedCount: 0 },
  });
  expect(verifiedBy(first.runId) + verifiedBy(second.runId)).toBe(2 * (FILE_COUNT + 1));
  // The next one begins at the beginning again.
  expect(beginScrub(pool, null, intent)).toMatchObject({ continuesRunId: null });
});
