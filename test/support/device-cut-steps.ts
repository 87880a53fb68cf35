/** What is done to a pool on four devices while it is recorded, and what it may hold in between. */

import { expect } from 'vitest';
import { NEW_DISK_HEALTH } from '../../src/domain/disk-health.js';
import { KIB, MIB } from '../../src/domain/units.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { beginEvacuation, finishEvacuation } from '../../src/pool/extent-pool/remove-disk.js';
import { rewriteReplicas } from '../../src/pool/extent-pool/rewrite.js';
import type { RewriteGoal } from '../../src/pool/extent-pool/rewrite-target.js';
import { trimBatch } from '../../src/pool/extent-pool/trim.js';
import type { DiskRow } from '../../src/store/disks.js';
import type { Candidate } from '../../src/store/rewrite-candidates.js';
import { content, putFiles } from './pool-fixture.js';
import { PoolHistory } from './pool-history.js';

/** What the record holds, in this order; each is a mark when it is acknowledged. */
export const STEPS = [
  'put',
  'replaced',
  'removed',
  'rewritten',
  'repaired',
  'trimmed',
  'evacuated',
  'detached',
  'copied',
  'reused',
] as const;
type Step = (typeof STEPS)[number];

export const HISTORY = new PoolHistory<Step>(STEPS, {
  fragmented: [[null, content('fragmented', 1.5 * MIB)]],
  rotten: [[null, content('rotten', 700 * KIB)]],
  removed: [
    [null, content('removed', 1.25 * MIB)],
    ['removed', null],
  ],
  replaced: [
    [null, content('replaced', 1.5 * MIB)],
    ['replaced', content('replacement', 1.25 * MIB + 7)],
  ],
  put: [['put', content('put', 2 * MIB + 4097)]],
  small: [['put', content('small', 9)]],
  reusing: [['reused', content('reusing', 300 * KIB)]],
});

/** Each step is acknowledged when it is done. */
export async function runSteps(pool: ExtentPool, acknowledge: (step: Step) => void): Promise<void> {
  const { store } = pool.context;
  const [, , third, fourth] = store.disks.all();
  if (!third || !fourth) throw new Error('too few disks');
  const steps: Record<Step, () => unknown> = {
    put: () => putFiles(pool, HISTORY.contents('put')),
    replaced: () => putFiles(pool, HISTORY.contents('replaced')),
    removed: () => pool.remove('removed'),
    rewritten: () => move(pool, 'defrag', replicasOf(pool, 'fragmented')),
    repaired: () => move(pool, 'repair', store.repairs.due(0, Date.now(), 10)),
    trimmed: () => trimAll(pool),
    evacuated: () => evacuate(pool, fourth),
    detached: () => expect(finishEvacuation(pool.context, fourth)).toBe(true),
    copied: () => copyFrom(pool, third),
    reused: () => putFiles(pool, HISTORY.contents('reused')),
  };
  for (const step of STEPS) {
    await steps[step]();
    acknowledge(step);
  }
}

function replicasOf(pool: ExtentPool, name: string): Candidate[] {
  return pool.extents(name).flatMap(({ extentId }) => {
    const replicas = pool.context.store.extents.replicas(extentId);
    return replicas.map(({ diskId }) => ({ extentId, diskId }));
  });
}

/** One at a time: they may share an extent. */
async function move(
  { context }: ExtentPool,
  goal: RewriteGoal,
  candidates: readonly Candidate[],
): Promise<void> {
  expect(candidates.length).toBeGreaterThan(0);
  for (const candidate of candidates) {
    const [result] = await rewriteReplicas(context, [{ ...candidate, goal }]);
    expect(result).toMatchObject({ kind: 'moved' });
  }
}

async function evacuate(pool: ExtentPool, disk: DiskRow): Promise<void> {
  const { context } = pool;
  beginEvacuation(context, disk);
  await move(pool, 'evacuate', context.store.candidates.onDisk(0, disk.diskId, 1000));
}

/** As the agent does when a disk errs again and again. */
async function copyFrom(pool: ExtentPool, { diskId }: DiskRow): Promise<void> {
  const { store } = pool.context;
  store.transaction(() => {
    store.disks.markJournalStale(diskId);
    store.health.set(diskId, { ...NEW_DISK_HEALTH, state: 'degraded', reason: 'errors' });
  });
  await move(pool, 're-replicate', store.health.short(0, [diskId], 1000));
}

export async function trimAll({ context }: ExtentPool): Promise<void> {
  for (const disk of context.store.disks.all()) {
    const batch = { disk, fromBytes: 0, bytesMax: disk.capacityBytes, secureErase: false };
    const done = await trimBatch(context, batch);
    expect(done?.receipt ?? { failedCount: 0 }).toMatchObject({ failedCount: 0 });
  }
}
