/**
 * A power cut at every instant of put, replace, remove, defragmentation and trim: catalogue and both
 * disks of the pool are on one recorded ext4. Whatever of the last writes arrived, in whatever order
 * and torn at any sector: what was acknowledged is there, what was removed stays away, every replica
 * is whole, space adds up, and what the disks record of themselves can be read.
 *
 * A sample of the states; for thousands, or with other seeds:
 *   DYNAMICFS_POWER_CUT_STATES=5000 DYNAMICFS_POWER_CUT_SEED=7 npx vitest run test/pool/power-cut
 */

import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { type ByteRun, KIB, MIB } from '../../src/domain/units.js';
import { CATALOGUE_FILE } from '../../src/pool/extent-pool/context.js';
import { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { rewriteReplicas } from '../../src/pool/extent-pool/rewrite.js';
import { trimBatch } from '../../src/pool/extent-pool/trim.js';
import { verifyDiskRecords } from '../../src/pool/extent-pool/verify-disk-records.js';
import { canFault, FaultDisk } from '../support/fault-disk.js';
import { LoopMount } from '../support/loop-mounts.js';
import { content, fragmentFreeSpace, putFiles, readAll } from '../support/pool-fixture.js';
import { PowerCutRecorder, type PowerCutState, type PowerCuts } from '../support/power-cut.js';

const STATE_COUNT = Number(process.env.DYNAMICFS_POWER_CUT_STATES ?? 32);
const CONTROL_STATE_COUNT = 8;
const SEED = Number(process.env.DYNAMICFS_POWER_CUT_SEED ?? 1);
/** Several times what a state takes on a busy machine. */
const STATE_MS_MAX = 5_000;
const SETUP_MS_MAX = 60_000;
const DISKS = ['disk-1', 'disk-2'];
const CAPACITY_BYTES = 32 * MIB;
/** So that ext4 hands on what a trim of the pool frees. */
const MOUNT_OPTIONS = ['discard'];

/** What the record holds, in this order; each is a mark when it is acknowledged. */
const STEPS = ['put', 'streamed', 'replaced', 'removed', 'rewritten', 'trimmed', 'reused'] as const;
type Step = (typeof STEPS)[number];

type Version = readonly [since: Step | null, bytes: Buffer | null];
type Lab = { readonly cuts: PowerCuts; readonly mount: LoopMount };

/** Contents of every name; an object is not there before its first one. */
const HISTORY: Readonly<Record<string, readonly Version[]>> = {
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
};

describe.skipIf(!canFault)('a power cut of an extent pool', () => {
  it(
    'loses nothing acknowledged, brings nothing back that was removed, and leaves a sound pool',
    async () => {
      await using disk = await makeDisk();
      using mount = mountOf(disk);
      const cuts = await recordSteps(disk, mount);
      const states = cuts.states({ count: STATE_COUNT, seed: SEED, isAtomic: isSuperblock });
      expect(states.filter(({ kind }) => kind !== 'prefix').length).toBeGreaterThan(0);
      for (const state of states) {
        const found = await problemsAfter(state, { cuts, mount });
        expect({ state: nameOf(state), found }).toEqual({ state: nameOf(state), found: [] });
      }
    },
    SETUP_MS_MAX + STATE_COUNT * STATE_MS_MAX,
  );

  it(
    'is found to lose what was acknowledged when the disk lies about its flushes',
    async () => {
      await using disk = await makeDisk();
      using mount = mountOf(disk);
      const cuts = await recordSteps(disk, mount);
      const how = { count: CONTROL_STATE_COUNT, seed: SEED, isAtomic: isSuperblock };
      let badCount = 0;
      for (const state of cuts.states({ ...how, ignoresFlushes: true })) {
        if ((await problemsAfter(state, { cuts, mount })).length > 0) badCount += 1;
      }
      expect(badCount).toBeGreaterThan(0);
    },
    SETUP_MS_MAX + CONTROL_STATE_COUNT * STATE_MS_MAX,
  );
});

async function makeDisk(): Promise<FaultDisk> {
  const disk = await FaultDisk.start(96 * MIB);
  const lazy = 'lazy_itable_init=0,lazy_journal_init=0';
  execFileSync('mkfs.ext4', ['-qF', '-b', '4096', '-E', lazy, disk.imagePath], { stdio: 'pipe' });
  return disk;
}

function mountOf(disk: FaultDisk): LoopMount {
  return new LoopMount('ext4', { imagePath: disk.imagePath, mountOptions: MOUNT_OPTIONS });
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
  await fragmentFreeSpace(pool, 64 * KIB);
  await putFiles(pool, { fragmented: bytesSince('fragmented', null) });
  pool.remove('filler', true);
  await trim(pool);
  await putFiles(pool, {
    removed: bytesSince('removed', null),
    replaced: bytesSince('replaced', null),
  });
}

async function runSteps(pool: ExtentPool, acknowledge: (step: Step) => void): Promise<void> {
  const steps: Record<Step, () => unknown> = {
    put: () => putFiles(pool, { put: bytesSince('put', 'put'), small: bytesSince('small', 'put') }),
    streamed: () => pool.writeExtent('streamed', bytesSince('streamed', 'streamed')),
    replaced: () => putFiles(pool, { replaced: bytesSince('replaced', 'replaced') }),
    removed: () => pool.remove('removed'),
    rewritten: () => defragment(pool),
    trimmed: () => trim(pool),
    reused: () => putFiles(pool, { reusing: bytesSince('reusing', 'reused') }),
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

function bytesSince(name: string, step: Step | null): Buffer {
  const bytes = HISTORY[name]?.find(([since]) => since === step)?.[1];
  if (!bytes) throw new Error(`no such version of ${name}`);
  return bytes;
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
    const pool = ExtentPool.open(mount.path('pool'));
    try {
      return await problemsOf(pool, state.marks.length);
    } finally {
      await pool.close();
    }
  } catch (cause) {
    return [String(cause)];
  } finally {
    mount.unmount();
  }
}

/** @param doneCount steps that were acknowledged; of the next one, all or nothing may be there. */
async function problemsOf(pool: ExtentPool, doneCount: number): Promise<string[]> {
  const { problems, disks } = pool.audit();
  const all = [...problems];
  for (const { path, reservedBytes } of disks) {
    if (reservedBytes !== 0) all.push(`${path}: ${reservedBytes} bytes are reserved by nobody`);
  }
  for (const name of Object.keys(HISTORY)) {
    const found = pool.metadata(name) ? await readAll(pool, name) : null;
    const isRight = versionsAfter(name, doneCount).some((bytes) =>
      bytes && found ? bytes.equals(found) : bytes === found,
    );
    if (!isRight) all.push(`${name} is ${found ? 'another one' : 'not there'}`);
    if (isRight && found) all.push(...replicaProblems(pool, name, found));
  }
  const strays = pool.list().filter(({ name }) => !(name in HISTORY));
  all.push(...strays.map(({ name }) => `${name} is there`));
  return [...all, ...recordProblems(pool), ...catalogueProblems(pool)];
}

/** Of superblocks and journals, which a recovery would need. */
function recordProblems({ context }: ExtentPool): string[] {
  return context.store.disks.all().flatMap(({ diskId, path }) => {
    const found = verifyDiskRecords(context, diskId, { runId: 0, repair: false });
    return found === 'good' ? [] : [`${path}: its records are ${found}`];
  });
}

function catalogueProblems(pool: ExtentPool): string[] {
  const catalogue = new Database(join(pool.path, CATALOGUE_FILE), { readonly: true });
  const said = String(catalogue.pragma('integrity_check', { simple: true }));
  catalogue.close();
  return said === 'ok' ? [] : [said];
}

/** Contents that an object may have, and null where it may be missing. */
function versionsAfter(name: string, doneCount: number): (Buffer | null)[] {
  const numberOf = (step: Step | null) => (step === null ? -1 : STEPS.indexOf(step));
  const versions = HISTORY[name] ?? [];
  const current = versions.findLast(([since]) => numberOf(since) < doneCount)?.[1] ?? null;
  const next = versions.find(([since]) => numberOf(since) === doneCount);
  return next ? [current, next[1]] : [current];
}

/** Each as it is on its disk, not only the one that a read prefers. */
function replicaProblems(pool: ExtentPool, name: string, bytes: Buffer): string[] {
  const { store, extentBytes } = pool.context;
  return pool.extents(name).flatMap(({ extentId, sizeBytes }, index) => {
    const startBytes = index * extentBytes;
    const expected = bytes.subarray(startBytes, startBytes + sizeBytes);
    const bad = store.extents.replicas(extentId).filter((replica) => {
      const path = join(store.disks.get(replica.diskId)?.path ?? '', 'dynamicfs.data');
      return !readRuns(path, replica.runs).subarray(0, sizeBytes).equals(expected);
    });
    return bad.map(({ diskId }) => `${name}: extent ${index} is bad on disk ${diskId}`);
  });
}

function readRuns(path: string, runs: readonly ByteRun[]): Buffer {
  const fd = openSync(path, 'r');
  try {
    const parts = runs.map(({ startBytes, lengthBytes }) => {
      const part = Buffer.alloc(lengthBytes);
      readSync(fd, part, 0, lengthBytes, startBytes);
      return part;
    });
    return Buffer.concat(parts);
  } finally {
    closeSync(fd);
  }
}
