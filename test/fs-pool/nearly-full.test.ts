/**
 * A run on a nearly full file system: the donors of a group hold space together, which must not keep
 * files from being moved that would find room, or a better place, one after the other.
 */

import { execFileSync } from 'node:child_process';
import { readdirSync, statfsSync, statSync, unlinkSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { FS_DEFRAG_PACE, freeBytesFloor } from '../../src/domain/fs-pace.js';
import { KIB, MIB } from '../../src/domain/units.js';
import { FsPool } from '../../src/pool/fs-pool/fs-pool.js';
import { freeForDonors } from '../../src/pool/fs-pool/move-group.js';
import { registerMount } from '../../src/pool/fs-pool/register.js';
import { RunFiles } from '../../src/pool/fs-pool/run-files.js';
import { FsDefragBatches } from '../../src/processors/fs-defrag-batch.js';
import { fragmentCount, makeFragmented } from '../support/fragmented-files.js';
import { beginRun, makeFiles, sha256Manifest } from '../support/fs-lab.js';
import { canMount, LoopMount } from '../support/loop-mounts.js';
import { waitForClock } from '../support/move-lab.js';
import { missing } from '../support/programs.js';
import { tempDirectory } from '../support/temp-directory.js';

const FILE_COUNT = 16;
const FILE_BYTES = 512 * KIB;
/** Room for three donors, not for those of a group of sixteen. */
const SPARE_BYTES = 3 * FILE_BYTES;
const BATCHES_MAX = 200;

let mount: LoopMount;
let pool: FsPool | null = null;

afterEach(async () => {
  await pool?.close();
  pool = null;
  mount.remove();
});

function openPool(): FsPool {
  const stateDirectory = tempDirectory('nearly-full');
  const { registered } = registerMount(stateDirectory, mount.mountPath, Date.now());
  pool = FsPool.open(stateDirectory, registered, { threadCount: 2 });
  pool.context.ownerEpoch = pool.context.store.owner.acquire('test', Date.now());
  return pool;
}

/** Defragments the mount as an agent does, batch by batch. */
async function runToEnd(): Promise<{ readonly runId: number; readonly pool: FsPool }> {
  waitForClock();
  const opened = openPool();
  const { store, poolId, ownerEpoch } = opened.context;
  const runId = beginRun(opened.context.store);
  const batches = new FsDefragBatches(opened.context);
  for (let count = 0; store.runs.get(runId)?.state === 'running'; count += 1) {
    expect(count).toBeLessThan(BATCHES_MAX);
    const batchIndex = store.runs.get(runId)?.batchIndex ?? 0;
    const epoch = ownerEpoch ?? 0;
    await batches.process({ v: 1, kind: 'batch', poolId, runId, batchIndex, epoch });
  }
  const { plannedCount, doneCount, skippedCount, ...rest } = store.runs.get(runId)?.progress ?? {};
  expect(rest).toMatchObject({ failedCount: 0, processedCount: plannedCount });
  // Also a file that was moved twice counts once.
  expect((doneCount ?? 0) + (skippedCount ?? 0)).toBe(plannedCount);
  return { runId, pool: opened };
}

/** Takes what is free but for `spareBytes`, in a file that is no candidate itself. */
function fill(spareBytes: number): string {
  const { bavail, bsize } = statfsSync(mount.mountPath);
  const path = mount.path('full');
  const fillBytes = Math.floor((bavail * bsize - spareBytes) / MIB);
  execFileSync('fallocate', ['-l', `${fillBytes}MiB`, path]);
  // It is in pieces itself, and larger than what is free.
  execFileSync('setfattr', ['-n', 'user.dynamicfs.nodefrag', '-v', '1', path]);
  return path;
}

function floorBytes(): number {
  const { blocks, bsize } = statfsSync(mount.mountPath);
  return freeBytesFloor(blocks * bsize);
}

describe.skipIf(!canMount)('a nearly full ext4', () => {
  it('has its files moved a few at a time', async () => {
    mount = new LoopMount('ext4', { sizeBytes: 64 * MIB });
    makeFiles(mount, FILE_COUNT, FILE_BYTES);
    const before = sha256Manifest(mount.mountPath);
    const filler = fill(floorBytes() + SPARE_BYTES);
    expect(freeForDonors(mount.mountPath)).toBeLessThan(FILE_COUNT * FILE_BYTES);

    const { runId, pool } = await runToEnd();
    const { store } = pool.context;
    expect(store.runs.get(runId)?.progress.doneCount).toBeGreaterThanOrEqual(FILE_COUNT);
    const reasons = store.candidates.exclusions(runId).map(({ reason }) => reason);
    expect(reasons).not.toContain('no-space');
    const after = sha256Manifest(mount.mountPath);
    delete after[filler];
    expect(after).toEqual(before);
  });

  it('has files without space tried again, alone, when nothing else is under way', () => {
    mount = new LoopMount('ext4', { sizeBytes: 64 * MIB });
    const pool = openPool();
    const runId = beginRun(pool.context.store);
    const names = ['81aa', '81bb', '81cc', '81dd'];
    pool.context.store.candidates.add(
      runId,
      names.map((handle) => ({
        ...{ handle, tierRank: 0, gainClass: 0, allocatedBytes: MIB, fragmentCount: 2 },
      })),
    );
    const files = new RunFiles(pool.context, runId);
    const pace = FS_DEFRAG_PACE.high;
    const handles = (group: ReturnType<RunFiles['take']>) =>
      group?.files.map(({ handle }) => handle) ?? null;

    const first = files.take(pace, 8 * MIB);
    const second = files.take(pace, 8 * MIB);
    if (!first || !second) throw new Error('expected two groups');
    expect([handles(first), handles(second)]).toEqual([names.slice(0, 2), names.slice(2)]);
    files.give(first, { later: [], withoutPlace: first.files.slice(0, 1), badlyPlaced: [] });
    pool.context.store.candidates.done(first.files[1]?.candidateId ?? 0, 1);
    expect(files.take(pace, 8 * MIB)).toBeNull();
    files.give(second, {
      later: second.files.slice(0, 1),
      withoutPlace: second.files.slice(1),
      badlyPlaced: [],
    });
    const third = files.take(pace, 8 * MIB);
    expect(third).toMatchObject({ placeTry: 0, files: [{ handle: '81cc' }] });
    if (!third) throw new Error('expected a third group');
    pool.context.store.candidates.done(third.files[0]?.candidateId ?? 0, 1);
    files.give(third, { later: [], withoutPlace: [], badlyPlaced: [] });
    const fourth = files.take(pace, 0);
    expect(fourth).toMatchObject({ placeTry: 1, files: [{ handle: '81aa' }] });
  });

  it.skipIf(missing('e4defrag') !== '')(
    `has no more fragments left than e4defrag leaves${missing('e4defrag')}`,
    async () => {
      mount = new LoopMount('ext4', { sizeBytes: 96 * MIB });
      const names = makeScattered(8, 3 * MIB);
      // Room outside the holes for one file and a half: the others can be whole only one by one.
      fill(floorBytes() + 8 * 3 * MIB);
      mount.remount();
      const before = sha256Manifest(mount.mountPath);
      const image = `${mount.imagePaths[0]}.copy`;
      mount.unmount();
      execFileSync('cp', ['--sparse=always', mount.imagePaths[0] ?? '', image]);
      mount.mount();

      await runToEnd();
      expect(sha256Manifest(mount.mountPath)).toEqual(before);
      const ours = fragmentsIn(names);
      await pool?.close();
      pool = null;
      mount.unmount();
      execFileSync('cp', ['--sparse=always', image, mount.imagePaths[0] ?? '']);
      mount.mount();
      for (const name of names) execFileSync('e4defrag', [mount.path(name)]);
      expect(ours).toBeLessThanOrEqual(fragmentsIn(names));
    },
  );
});

describe.skipIf(!canMount)('a nearly full Btrfs', () => {
  it('has no file written for which there is no better place', async () => {
    mount = new LoopMount('btrfs', { sizeBytes: 512 * MIB, mkfsArgs: ['--mixed'] });
    const names = makeScattered(6, 8 * MIB, fill);
    const before = names.map((name) => stateOf(mount.path(name)));

    await runToEnd();
    const after = names.map((name) => stateOf(mount.path(name)));
    const notBetter = after.filter(({ count }, n) => count >= (before[n]?.count ?? 0));
    // One that went back to its old blocks would have a new ctime.
    expect(notBetter).toEqual(before.filter((_, n) => notBetter.includes(after[n] as FileState)));
    expect(notBetter.length).toBeGreaterThan(0);
  });
});

interface FileState {
  readonly count: number;
  readonly ctimeNs: bigint;
}

function stateOf(path: string): FileState {
  const { ctimeNs } = statSync(path, { bigint: true });
  return { count: fragmentCount(path), ctimeNs };
}

function fragmentsIn(names: readonly string[]): number {
  return names.reduce((sum, name) => sum + fragmentCount(mount.path(name)), 0);
}

/**
 * Files in hundreds of pieces, with holes as large between them.
 *
 * @param beforeHoles called while what becomes the holes is still taken.
 */
function makeScattered(
  count: number,
  sizeBytes: number,
  beforeHoles: (spareBytes: number) => void = () => {},
): string[] {
  const names = Array.from({ length: count }, (_, n) => `file-${n}`);
  makeFragmented(mount, names, { sizeBytes, stepBytes: 64 * KIB });
  beforeHoles(6 * MIB);
  for (const name of readdirSync(mount.mountPath)) {
    if (name.endsWith('.spacer')) unlinkSync(mount.path(name));
  }
  execFileSync('sync', ['-f', mount.mountPath]);
  return names;
}
