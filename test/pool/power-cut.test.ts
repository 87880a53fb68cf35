/**
 * A power cut at every instant of put, replace, remove, defragmentation and trim: catalogue and both
 * disks of the pool are on one recorded ext4. Whatever of the last writes arrived, in whatever order
 * and torn at any sector: what was acknowledged is there, what was removed stays away, every replica
 * is whole, space adds up, and what the disks record of themselves can be read.
 *
 * A sample of the states; for thousands, or with other seeds:
 *   DYNAMICFS_TEST_LONG=1 npx vitest run test/pool/power-cut
 *   DYNAMICFS_POWER_CUT_STATES=5000 DYNAMICFS_POWER_CUT_SEED=7 npx vitest run test/pool/power-cut
 */

import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ByteRun, KIB, MIB } from '../../src/domain/units.js';
import { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { rewriteReplicas } from '../../src/pool/extent-pool/rewrite.js';
import { trimBatch } from '../../src/pool/extent-pool/trim.js';
import { canFault, FaultDisk } from '../support/fault-disk.js';
import { LoopMount } from '../support/loop-mounts.js';
import { content, fragmentFreeSpace, putFiles } from '../support/pool-fixture.js';
import { PoolHistory, structureProblems } from '../support/pool-history.js';
import {
  CONTROL_STATE_COUNT,
  PowerCutRecorder,
  type PowerCutState,
  type PowerCuts,
  SEED,
  STATE_COUNT,
  STATE_MS_MAX,
  sayProgress,
} from '../support/power-cut.js';
import { sharedWorkers } from '../support/shared-workers.js';

const SETUP_MS_MAX = 60_000;
const DISKS = ['disk-1', 'disk-2'];
const CAPACITY_BYTES = 32 * MIB;
/** So that ext4 hands on what a trim of the pool frees. */
const MOUNT_OPTIONS = ['discard'];

/** What the record holds, in this order; each is a mark when it is acknowledged. */
const STEPS = ['put', 'streamed', 'replaced', 'removed', 'rewritten', 'trimmed', 'reused'] as const;
type Step = (typeof STEPS)[number];

type Lab = { readonly cuts: PowerCuts; readonly mount: LoopMount };

const HISTORY = new PoolHistory<Step>(STEPS, {
  fragmented: [[null, content('fragmented', 2.5 * MIB)]],
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
  streamed: [['streamed', content('streamed', 1.5 * MIB)]],
  reusing: [['reused', content('reusing', 200 * KIB)]],
});

describe.skipIf(!canFault)('a power cut of an extent pool', () => {
  let disk: FaultDisk;
  let mount: LoopMount;
  let cuts: PowerCuts;

  beforeAll(async () => {
    disk = await makeDisk();
    mount = new LoopMount('ext4', { imagePath: disk.imagePath, mountOptions: MOUNT_OPTIONS });
    cuts = await recordSteps(disk, mount);
  }, SETUP_MS_MAX);
  afterAll(async () => {
    mount.remove();
    await disk[Symbol.asyncDispose]();
  });

  it(
    'loses nothing acknowledged, brings nothing back that was removed, and leaves a sound pool',
    async () => {
      const states = cuts.states({ count: STATE_COUNT, seed: SEED, isAtomic: isSuperblock });
      expect(states.filter(({ kind }) => kind !== 'prefix').length).toBeGreaterThan(0);
      for (const [index, state] of states.entries()) {
        const found = await problemsAfter(state, { cuts, mount });
        expect({ state: nameOf(state), found }).toEqual({ state: nameOf(state), found: [] });
        sayProgress(index + 1, states.length);
      }
    },
    STATE_COUNT * STATE_MS_MAX,
  );

  it(
    'is found to lose what was acknowledged when the disk lies about its flushes',
    async () => {
      const how = { count: CONTROL_STATE_COUNT, seed: SEED, isAtomic: isSuperblock };
      let badCount = 0;
      for (const state of cuts.states({ ...how, ignoresFlushes: true })) {
        if ((await problemsAfter(state, { cuts, mount })).length > 0) badCount += 1;
      }
      expect(badCount).toBeGreaterThan(0);
    },
    CONTROL_STATE_COUNT * STATE_MS_MAX,
  );
});

async function makeDisk(): Promise<FaultDisk> {
  const disk = await FaultDisk.start(96 * MIB);
  const lazy = 'lazy_itable_init=0,lazy_journal_init=0';
  execFileSync('mkfs.ext4', ['-qF', '-b', '4096', '-E', lazy, disk.imagePath], { stdio: 'pipe' });
  return disk;
}

/** Ext4 relies on its superblock being written as a whole. */
function isSuperblock({ startBytes, lengthBytes }: ByteRun): boolean {
  return startBytes === 0 && lengthBytes <= 4 * KIB;
}

/** Leaves it unmounted. */
async function recordSteps(disk: FaultDisk, mount: LoopMount): Promise<PowerCuts> {
  const pool = ExtentPool.create(mount.path('pool'), { extentBytes: MIB, replicaCount: 2 });
  try {
    await prepare(pool, mount);
    execFileSync('sync', ['-f', mount.mountPath]);
    const recorder = await PowerCutRecorder.start(disk);
    await runSteps(pool, (step) => recorder.mark(step));
    await pool.close();
    mount.unmount();
    return await recorder.stop();
  } finally {
    // For whoever failed: nothing can be unmounted before.
    await pool.close();
  }
}

/** An object in pieces, others, and room beside them. */
async function prepare(pool: ExtentPool, mount: LoopMount): Promise<void> {
  for (const name of DISKS) pool.addDisk(mount.path(name), { capacityBytes: CAPACITY_BYTES });
  const { fragmented, ...others } = HISTORY.contents(null);
  await fragmentFreeSpace(pool, 64 * KIB);
  await putFiles(pool, { fragmented: fragmented ?? Buffer.alloc(0) });
  pool.remove('filler', true);
  await trim(pool);
  await putFiles(pool, others);
}

async function runSteps(pool: ExtentPool, acknowledge: (step: Step) => void): Promise<void> {
  const steps: Record<Step, () => unknown> = {
    put: () => putFiles(pool, HISTORY.contents('put')),
    streamed: () => putStreamed(pool, HISTORY.contents('streamed')),
    replaced: () => putFiles(pool, HISTORY.contents('replaced')),
    removed: () => pool.remove('removed'),
    rewritten: () => defragment(pool),
    trimmed: () => trim(pool),
    reused: () => putFiles(pool, HISTORY.contents('reused')),
  };
  let trimmed: string[] = [];
  for (const step of STEPS) {
    if (step === 'trimmed') trimmed = pendingPlaces(pool);
    await steps[step]();
    acknowledge(step);
  }
  const reused = pool.extents('reusing').flatMap(({ extentId }) => placesOf(pool, extentId));
  expect(trimmed).toEqual(expect.arrayContaining(reused));
}

async function putStreamed(pool: ExtentPool, files: Record<string, Buffer>): Promise<void> {
  for (const [name, bytes] of Object.entries(files)) await pool.writeExtent(name, bytes);
}

async function defragment(pool: ExtentPool): Promise<void> {
  const moves = pool
    .extents('fragmented')
    .flatMap(({ extentId }) =>
      pool.context.store.disks.all().map(({ diskId }) => ({ extentId, diskId })),
    );
  for (const move of moves) {
    const [result] = await rewriteReplicas(pool.context, [{ ...move, goal: 'defrag' }]);
    expect(result).toMatchObject({ kind: 'moved', fragmentsAfter: 1 });
  }
}

async function trim(pool: ExtentPool): Promise<void> {
  for (const disk of pool.context.store.disks.all()) {
    const batch = { disk, fromBytes: 0, bytesMax: CAPACITY_BYTES, secureErase: false };
    const done = await trimBatch(pool.context, batch);
    expect(done?.receipt).toMatchObject({ failedCount: 0, unsupportedCount: 0 });
    expect(done?.receipt.reclaimedBytes).toBeGreaterThan(0);
  }
}

function pendingPlaces({ context: { store } }: ExtentPool): string[] {
  return store.disks.all().flatMap(({ diskId }) => {
    const runs = [...store.space.iterate(diskId)].filter(({ state }) => state === 'pending');
    return runs.map(({ startBytes }) => `${diskId}:${startBytes}`);
  });
}

function placesOf(pool: ExtentPool, extentId: number): string[] {
  const replicas = pool.context.store.extents.replicas(extentId);
  return replicas.map(({ diskId, runs }) => `${diskId}:${runs[0]?.startBytes}`);
}

function nameOf({ kind, eventCount, marks }: PowerCutState): string {
  return `${kind} at ${eventCount}, after ${marks.at(-1) ?? 'nothing'}`;
}

/** Expects it unmounted, and leaves it so. */
async function problemsAfter(state: PowerCutState, { cuts, mount }: Lab): Promise<string[]> {
  await cuts.become(state);
  try {
    mount.mount(MOUNT_OPTIONS);
  } catch (cause) {
    return [String(cause)];
  }
  try {
    const pool = ExtentPool.open(mount.path('pool'), { workers: sharedWorkers });
    try {
      return [...structureProblems(pool), ...(await HISTORY.problems(pool, state.marks.length))];
    } finally {
      await pool.close();
    }
  } catch (cause) {
    return [String(cause)];
  } finally {
    mount.unmount();
  }
}
