/**
 * A run on a nearly full file system: the donors of a group hold space together, which must not keep
 * files from being moved that would find room one after the other.
 */

import { execFileSync } from 'node:child_process';
import { statfsSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { FS_DEFRAG_PACE, freeBytesFloor } from '../../src/domain/fs-pace.js';
import { DEFAULT_FS_RUN_OPTIONS } from '../../src/domain/fs-runs.js';
import { KIB, MIB } from '../../src/domain/units.js';
import { FsPool } from '../../src/pool/fs-pool/fs-pool.js';
import { freeForDonors } from '../../src/pool/fs-pool/move-group.js';
import { registerMount } from '../../src/pool/fs-pool/register.js';
import { RunFiles } from '../../src/pool/fs-pool/run-files.js';
import { FsDefragBatches } from '../../src/processors/fs-defrag-batch.js';
import { makeFiles, sha256Manifest } from '../support/fs-lab.js';
import { canMount, LoopMount } from '../support/loop-mounts.js';
import { waitForClock } from '../support/move-lab.js';
import { tempDirectory } from '../support/temp-directory.js';

const FILE_COUNT = 16;
const FILE_BYTES = 512 * KIB;
/** Room for three donors, not for those of a group of sixteen. */
const SPARE_BYTES = 3 * FILE_BYTES;
const BATCHES_MAX = 200;

describe.skipIf(!canMount)('a nearly full ext4', () => {
  let mount: LoopMount;
  let pool: FsPool;

  afterEach(async () => {
    await pool.close();
    mount.remove();
  });

  function openPool(): void {
    const stateDirectory = tempDirectory('nearly-full');
    const { registered } = registerMount(stateDirectory, mount.mountPath, Date.now());
    pool = FsPool.open(stateDirectory, registered, { threadCount: 2 });
    pool.context.ownerEpoch = pool.context.store.owner.acquire('test', Date.now());
  }

  function beginRun(): number {
    const { store } = pool.context;
    const runId = store.runs.insert({
      kind: 'defrag',
      trigger: 'manual',
      intensity: 'high',
      threadCount: 2,
      diskId: null,
      secureErase: false,
      startedAtMs: Date.now(),
      plannedCount: 0,
      plannedBytes: 0,
    });
    store.options.set(runId, { ...DEFAULT_FS_RUN_OPTIONS, quietMs: 0 });
    return runId;
  }

  it('has its files moved a few at a time', async () => {
    mount = new LoopMount('ext4', { sizeBytes: 64 * MIB });
    makeFiles(mount, FILE_COUNT, FILE_BYTES);
    const before = sha256Manifest(mount.mountPath);
    const { bavail, blocks, bsize } = statfsSync(mount.mountPath);
    const fillBytes = bavail * bsize - freeBytesFloor(blocks * bsize) - SPARE_BYTES;
    execFileSync('fallocate', ['-l', `${Math.floor(fillBytes / MIB)}MiB`, mount.path('full')]);
    // It is in pieces itself, and larger than what is free.
    execFileSync('setfattr', ['-n', 'user.dynamicfs.nodefrag', '-v', '1', mount.path('full')]);
    expect(freeForDonors(mount.mountPath)).toBeLessThan(FILE_COUNT * FILE_BYTES);
    waitForClock();

    openPool();
    const { store, poolId, ownerEpoch } = pool.context;
    const runId = beginRun();
    const batches = new FsDefragBatches(pool.context);
    for (let count = 0; store.runs.get(runId)?.state === 'running'; count += 1) {
      expect(count).toBeLessThan(BATCHES_MAX);
      const batchIndex = store.runs.get(runId)?.batchIndex ?? 0;
      const epoch = ownerEpoch ?? 0;
      await batches.process({ v: 1, kind: 'batch', poolId, runId, batchIndex, epoch });
    }
    expect(store.runs.get(runId)?.progress).toMatchObject({ failedCount: 0 });
    expect(store.runs.get(runId)?.progress.doneCount).toBeGreaterThanOrEqual(FILE_COUNT);
    const reasons = store.candidates.exclusions(runId).map(({ reason }) => reason);
    expect(reasons).not.toContain('no-space');
    const after = sha256Manifest(mount.mountPath);
    delete after[mount.path('full')];
    expect(after).toEqual(before);
  });

  it('has files without space tried once more, alone, when nothing else is under way', () => {
    mount = new LoopMount('ext4', { sizeBytes: 64 * MIB });
    openPool();
    const runId = beginRun();
    const names = ['81aa', '81bb', '81cc', '81dd'];
    pool.context.store.candidates.add(
      runId,
      names.map((handle) => ({
        ...{ handle, tierRank: 0, gain: 1, allocatedBytes: MIB, fragmentCount: 2 },
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
    files.give(first, { later: [], withoutSpace: first.files.slice(0, 1) });
    pool.context.store.candidates.done(first.files[1]?.candidateId ?? 0, 1);
    expect(files.take(pace, 8 * MIB)).toBeNull();
    files.give(second, { later: second.files.slice(0, 1), withoutSpace: second.files.slice(1) });
    const third = files.take(pace, 8 * MIB);
    expect(third).toMatchObject({ isAlone: false, files: [{ handle: '81cc' }] });
    if (!third) throw new Error('expected a third group');
    pool.context.store.candidates.done(third.files[0]?.candidateId ?? 0, 1);
    files.give(third, { later: [], withoutSpace: [] });
    const fourth = files.take(pace, 0);
    expect(fourth).toMatchObject({ isAlone: true, files: [{ handle: '81aa' }] });
  });
});
