/**
 * A pool on recorded raw devices with its catalogue on a recorded ext4: what is done to it while it is
 * recorded, and what must be true of it after a cut.
 */

import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type ByteRun, KIB, MIB } from '../../src/domain/units.js';
import { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { recoverPool } from '../../src/pool/extent-pool/recover.js';
import { HISTORY, runSteps, STEPS, trimAll } from './device-cut-steps.js';
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
import { structureProblems } from './pool-history.js';
import { PowerCutRecorder, type PowerCutState, type PowerCuts } from './power-cut.js';
import { sharedWorkers } from './shared-workers.js';

const CATALOGUE_BYTES = 48 * MIB;
const DEVICE_BYTES = 24 * MIB;
const DEVICE_COUNT = 4;
const HOLE_BYTES = 128 * KIB;

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
    await trimAll(pool);
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
      await trimAll(pool);
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
  const pool = ExtentPool.open(path, { workers: sharedWorkers });
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
