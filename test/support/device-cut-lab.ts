/**
 * A pool on recorded raw devices with its catalogue on a recorded ext4: what is done to it while it is
 * recorded, and what must be true of it after a cut.
 */

import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { NEW_DISK_HEALTH } from '../../src/domain/disk-health.js';
import { type ByteRun, KIB, MIB } from '../../src/domain/units.js';
import { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { recoverPool } from '../../src/pool/extent-pool/recover.js';
import { beginEvacuation, finishEvacuation } from '../../src/pool/extent-pool/remove-disk.js';
import { rewriteReplicas } from '../../src/pool/extent-pool/rewrite.js';
import type { RewriteGoal } from '../../src/pool/extent-pool/rewrite-target.js';
import { trimBatch } from '../../src/pool/extent-pool/trim.js';
import type { DiskRow } from '../../src/store/disks.js';
import type { Candidate } from '../../src/store/rewrite-candidates.js';
import { FaultDisk } from './fault-disk.js';
import { LoopDevice } from './loop-device.js';
import { LoopMount, run } from './loop-mounts.js';
import {
  content,
  corruptReplica,
  fragmentFreeSpace,
  inventory,
  putFiles,
  readAll,
} from './pool-fixture.js';
import { PoolHistory, structureProblems } from './pool-history.js';
import { PowerCutRecorder, type PowerCutState, type PowerCuts } from './power-cut.js';

const CATALOGUE_BYTES = 48 * MIB;
const DEVICE_BYTES = 24 * MIB;
const DEVICE_COUNT = 4;
const HOLE_BYTES = 128 * KIB;

/** What the record holds, in this order; each is a mark when it is acknowledged. */
const STEPS = [
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

const HISTORY = new PoolHistory<Step>(STEPS, {
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

/** Opened as it is; or without its catalogue; or that after it was opened and worked on. */
export type Look = 'open' | 'recover' | 'work, then recover';

export class DeviceCutLab implements AsyncDisposable {
  readonly #catalogue: FaultDisk;
  readonly #disks: readonly FaultDisk[];
  readonly #devices: readonly LoopDevice[];
  readonly #mount: LoopMount;
  /** Where the bad replica of `rotten` is. */
  #rottenDiskId = 0;

  private constructor(catalogue: FaultDisk, disks: readonly FaultDisk[]) {
    this.#catalogue = catalogue;
    this.#disks = disks;
    run('mkfs.ext4', [
      '-qF',
      '-b',
      '4096',
      '-E',
      'lazy_itable_init=0,lazy_journal_init=0',
      catalogue.imagePath,
    ]);
    this.#mount = new LoopMount('ext4', { imagePath: catalogue.imagePath });
    this.#devices = disks.map(({ imagePath }) => new LoopDevice({ imagePath }));
  }

  static async start(): Promise<DeviceCutLab> {
    const disks: FaultDisk[] = [];
    for (let n = 0; n < DEVICE_COUNT; n += 1) disks.push(await FaultDisk.start(DEVICE_BYTES));
    return new DeviceCutLab(await FaultDisk.start(CATALOGUE_BYTES), disks);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#mount.remove();
    for (const device of this.#devices) device.detach();
    for (const disk of [this.#catalogue, ...this.#disks]) await disk[Symbol.asyncDispose]();
  }

  /** Ext4 relies on its superblock being written as a whole; the devices may tear anything. */
  readonly isAtomic = ({ startBytes, lengthBytes }: ByteRun, disk: number): boolean =>
    disk === 0 && startBytes === 0 && lengthBytes <= 4 * KIB;

  /** Leaves the catalogue unmounted. */
  async record(): Promise<PowerCuts> {
    const pool = ExtentPool.create(this.#poolPath, { extentBytes: MIB, replicaCount: 2 });
    try {
      await this.#prepare(pool);
      run('sync', ['-f', this.#mount.mountPath]);
      for (const { path } of this.#devices) run('sync', [path]);
      const recorder = await PowerCutRecorder.start(this.#catalogue, ...this.#disks);
      await runSteps(pool, (step) => recorder.mark(step));
      await pool.close();
      this.#mount.unmount();
      return await recorder.stop();
    } finally {
      // For whoever failed: nothing can be unmounted before.
      await pool.close();
    }
  }

  static nameOf({ kind, eventCount, marks }: PowerCutState): string {
    return `${kind} at ${eventCount}, after ${marks.at(-1) ?? 'nothing'}`;
  }

  /** Expects the catalogue unmounted, and leaves it so. */
  async problemsAfter(state: PowerCutState, cuts: PowerCuts, look: Look): Promise<string[]> {
    await cuts.become(state);
    try {
      this.#mount.mount();
    } catch (cause) {
      return [String(cause)];
    }
    try {
      const doneCount = state.marks.length;
      if (look === 'open') return await this.#problemsWhenOpened(doneCount);
      if (look === 'recover') return await this.#problemsWhenRecovered(doneCount);
      return await this.#problemsAfterMoreWork();
    } catch (cause) {
      return [cause instanceof Error ? String(cause.stack) : String(cause)];
    } finally {
      this.#mount.unmount();
    }
  }

  get #poolPath(): string {
    return this.#mount.path('pool');
  }

  /** An object in pieces, one with a bad replica, others, and room beside them. */
  async #prepare(pool: ExtentPool): Promise<void> {
    const [last, ...devices] = [...this.#devices].reverse();
    for (const { path } of devices.reverse()) pool.addDisk(path);
    const { fragmented = Buffer.alloc(0), ...others } = HISTORY.contents(null);
    await fragmentFreeSpace(pool, HOLE_BYTES);
    await putFiles(pool, { fragmented });
    pool.remove('filler', true);
    await trim(pool);
    // Empty, so that the others go there: it is evacuated later.
    pool.addDisk(last?.path ?? '');
    await putFiles(pool, others);
    const extentId = pool.extents('rotten')[0]?.extentId ?? 0;
    this.#rottenDiskId = pool.context.readableReplicas(extentId)[0]?.diskId ?? 0;
    corruptReplica(pool, extentId, this.#rottenDiskId);
    await readAll(pool, 'rotten');
    expect(pool.context.store.repairs.all()).toHaveLength(1);
  }

  async #problemsWhenOpened(doneCount: number): Promise<string[]> {
    return await withPool(this.#poolPath, async (pool) => [
      ...structureProblems(pool),
      ...(await this.#contentProblems(pool, doneCount)),
    ]);
  }

  /** From one device, which knows the others. */
  async #problemsWhenRecovered(doneCount: number): Promise<string[]> {
    const { incompleteObjects, missingDisks } = await this.#recover();
    const underWay = HISTORY.namesUnderWay(doneCount);
    const incomplete = incompleteObjects.filter((name) => !underWay.includes(name));
    const isLeaving = STEPS[doneCount] === 'detached';
    return await withPool(this.#poolPath, async (pool) => [
      ...incomplete.map((name) => `${name} is incomplete`),
      ...missingDisks.filter(() => !isLeaving).map((path) => `${path} is missing`),
      ...structureProblems(pool).filter((problem) => !isShort(pool, problem, underWay)),
      ...(await this.#contentProblems(pool, doneCount)),
    ]);
  }

  /** Whatever a cut left in the journals must not pass for newer than what came after it. */
  async #problemsAfterMoreWork(): Promise<string[]> {
    const before = await withPool(this.#poolPath, async (pool) => {
      await putFiles(pool, { after: content('after', 300 * KIB) });
      pool.remove('fragmented');
      await trim(pool);
      await putFiles(pool, { last: content('last', 1.25 * MIB) });
      return await inventory(pool);
    });
    const { incompleteObjects } = await this.#recover();
    return await withPool(this.#poolPath, async (pool) => {
      const after = await inventory(pool);
      const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
      const changed = names.filter((name) => before[name] !== after[name]);
      return [
        ...incompleteObjects.map((name) => `${name} is incomplete`),
        ...changed.map((name) => `${name} changed`),
        ...structureProblems(pool),
      ];
    });
  }

  #recover(): ReturnType<typeof recoverPool> {
    for (const name of readdirSync(this.#poolPath)) {
      rmSync(join(this.#poolPath, name), { recursive: true });
    }
    return recoverPool(this.#poolPath, [this.#devices[0]?.path ?? '']);
  }

  #contentProblems(pool: ExtentPool, doneCount: number): Promise<string[]> {
    const isRepaired = doneCount > STEPS.indexOf('repaired');
    return HISTORY.problems(
      pool,
      doneCount,
      (name, diskId) => !isRepaired && name === 'rotten' && diskId === this.#rottenDiskId,
    );
  }
}

async function withPool<T>(path: string, use: (pool: ExtentPool) => Promise<T>): Promise<T> {
  const pool = ExtentPool.open(path);
  try {
    return await use(pool);
  } finally {
    await pool.close();
  }
}

/** A put that nobody was promised may have reached one disk and not the other. */
function isShort({ context }: ExtentPool, problem: string, names: readonly string[]): boolean {
  const extentId = Number(/^extent (\d+) has \d+ whole replicas/.exec(problem)?.[1] ?? Number.NaN);
  const extent = Number.isNaN(extentId) ? null : context.store.extents.get(extentId);
  const object = extent && context.store.objects.byId(extent.objectId);
  return object !== null && names.includes(object.name);
}

async function runSteps(pool: ExtentPool, acknowledge: (step: Step) => void): Promise<void> {
  const { store } = pool.context;
  const [, , third, fourth] = store.disks.all();
  if (!third || !fourth) throw new Error('too few disks');
  const steps: Record<Step, () => unknown> = {
    put: () => putFiles(pool, HISTORY.contents('put')),
    replaced: () => putFiles(pool, HISTORY.contents('replaced')),
    removed: () => pool.remove('removed'),
    rewritten: () => move(pool, 'defrag', replicasOf(pool, 'fragmented')),
    repaired: () => move(pool, 'repair', store.repairs.due(0, Date.now(), 10)),
    trimmed: () => trim(pool),
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

async function trim({ context }: ExtentPool): Promise<void> {
  for (const disk of context.store.disks.all()) {
    const batch = { disk, fromBytes: 0, bytesMax: DEVICE_BYTES, secureErase: false };
    const done = await trimBatch(context, batch);
    expect(done?.receipt ?? { failedCount: 0 }).toMatchObject({ failedCount: 0 });
  }
}
