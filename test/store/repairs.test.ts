/**
 * What is remembered of bad replicas: when a repair is due, in which order, and for how long; and the
 * step that made room for it in catalogues of earlier versions, which must lose nothing.
 */

import { join } from 'node:path';
import { expect, it } from 'vitest';
import { FINDINGS_KEPT, type Finding, repairWaitMs } from '../../src/domain/repairs.js';
import { openDatabase } from '../../src/store/database.js';
import { PoolStore } from '../../src/store/pool-store.js';
import { POOL_SCHEMA_STEPS } from '../../src/store/schema.js';
import { content, makePool, putFiles } from '../support/pool-fixture.js';
import { tempDirectory } from '../support/temp-directory.js';

const HOUR_MS = 3_600_000;

it('keeps the runs of an older catalogue, with what they left alone', () => {
  const path = join(tempDirectory('old'), 'pool.sqlite');
  const old = openDatabase(path, POOL_SCHEMA_STEPS.slice(0, 1), { create: true });
  old.exec(`INSERT INTO runs (run_id, kind, state, trigger, intensity, thread_count, started_at_ms, progress)
    VALUES (7, 'defrag', 'running', 'manual', 'low', 1, 5, '{}');
    INSERT INTO run_exclusions VALUES (7, 1, 2, 'skipped', 'a reason');`);
  old.close();
  const store = new PoolStore(path);
  expect(store.runs.open('defrag')).toMatchObject({ runId: 7, trigger: 'manual' });
  expect(store.candidates.exclusions(7)).toEqual([
    { outcome: 'skipped', reason: 'a reason', count: 1 },
  ]);
  store.runs.setState(7, 'completed', 6);
  const run = store.runs.get(7);
  if (!run) throw new Error('the run is gone');
  // No id is given twice.
  expect(store.runs.insert({ ...run, kind: 'repair', plannedCount: 0, plannedBytes: 0 })).toBe(8);
  store.close();
});

it('has those due first of which the fewest good copies are left, and waits after a failure', async () => {
  const pool = makePool({ diskCount: 3, replicaCount: 3 });
  await putFiles(pool, { a: content(1, 100), b: content(2, 100) });
  const { repairs } = pool.context.store;
  const [a, b] = ['a', 'b'].map((name) => pool.extents(name)[0]?.extentId ?? 0);
  const bad = (extentId = 0, diskId = 0, held = false) =>
    repairs.recordBad({ extentId, diskId, reason: 'wrong checksum', held, atMs: 1 });
  expect(bad(a, 1)).toBe('new');
  expect(bad(b, 1)).toBe('new');
  expect(bad(b, 2)).toBe('new');
  expect(bad(a, 3, true)).toBe('new');
  expect(repairs.due(0, 0, 10)).toEqual([
    { extentId: a, diskId: 1 },
    { extentId: b, diskId: 1 },
    { extentId: b, diskId: 2 },
  ]);
  // Somebody read the one that a scrub had left alone, and still it is the same.
  expect(bad(a, 3)).toBe('known');
  expect(bad(a, 3, true)).toBe('known');
  expect(repairs.planDue(0)).toMatchObject({ count: 4 });

  repairs.postpone({ extentId: b ?? 0, diskId: 2 }, 0);
  expect(repairs.planDue(repairWaitMs(1) - 1).count).toBe(3);
  expect(repairs.planDue(repairWaitMs(1)).count).toBe(4);
  expect(repairs.failureCount({ extentId: b ?? 0, diskId: 2 })).toBe(1);
  pool.remove('b');
  expect(repairs.all().map(({ diskId }) => diskId)).toEqual([1, 3]);
});

it('waits ever longer, but not for ever', () => {
  const waits = [1, 2, 3, 1_000].map(repairWaitMs);
  expect(waits).toEqual([60_000, 120_000, 240_000, 24 * HOUR_MS]);
});

it('forgets the oldest findings', () => {
  const store = new PoolStore(join(tempDirectory('findings'), 'pool.sqlite'), { create: true });
  const finding: Finding = {
    runId: null,
    what: 'bad',
    objectName: 'a',
    extentIndex: 0,
    extentId: 1,
    diskPath: '/d',
    reason: 'wrong checksum',
    atMs: 0,
  };
  store.transaction(() => {
    for (let atMs = 0; atMs < FINDINGS_KEPT + 5; atMs += 1) {
      store.repairs.addFinding({ ...finding, atMs, runId: atMs % 2 === 0 ? 4 : null });
    }
  });
  const kept = store.repairs.findings(FINDINGS_KEPT * 2);
  expect(kept).toHaveLength(FINDINGS_KEPT);
  expect(kept.at(-1)?.atMs).toBe(5);
  expect(store.repairs.findings(2, 4)).toMatchObject([
    { runId: 4, atMs: FINDINGS_KEPT + 4 },
    { runId: 4, atMs: FINDINGS_KEPT + 2 },
  ]);
  store.close();
});
