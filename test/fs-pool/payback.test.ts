/** What a defragmentation of a mount gained is measured on the very files that it moved. */

import { appendFileSync, statSync } from 'node:fs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { makeScanControl } from '../../src/domain/file-scan.js';
import { DEFAULT_FS_RUN_OPTIONS } from '../../src/domain/fs-runs.js';
import { KIB } from '../../src/domain/units.js';
import { deviceNamesUnder, LoadProbe } from '../../src/kernel/load-probe.js';
import { FsPool } from '../../src/pool/fs-pool/fs-pool.js';
import { registerMount } from '../../src/pool/fs-pool/register.js';
import { scanForRun } from '../../src/pool/fs-pool/run-files.js';
import { FsDefragBatches } from '../../src/processors/fs-defrag-batch.js';
import { measureAfter, measureBefore } from '../../src/processors/payback.js';
import { handleOfPath } from '../support/fragmented-files.js';
import { makeFiles, sha256Manifest } from '../support/fs-lab.js';
import { canMount, LOOP_FS_TYPES, LoopMount } from '../support/loop-mounts.js';
import { waitForClock } from '../support/move-lab.js';
import { beginDefragStep } from '../support/reclaim-lab.js';
import { makeReadable, SteadyReads } from '../support/steady-reads.js';
import { tempDirectory } from '../support/temp-directory.js';

const FILE_COUNT = 8;
/** No whole block at its end: O_DIRECT reads it all the same. */
const FILE_BYTES = 512 * KIB - 100;

let mount: LoopMount;
let pool: FsPool | null = null;

afterEach(async () => {
  vi.unstubAllEnvs();
  await pool?.close();
  pool = null;
  mount.remove();
});

function openPool(): FsPool {
  waitForClock();
  const stateDirectory = tempDirectory('payback');
  const { registered } = registerMount(stateDirectory, mount.mountPath, Date.now());
  pool = FsPool.open(stateDirectory, registered, { threadCount: 2 });
  pool.context.ownerEpoch = pool.context.store.owner.acquire('test', Date.now());
  return pool;
}

function beginRun({ context }: FsPool): number {
  const runId = beginDefragStep(context);
  context.store.options.set(runId, { ...DEFAULT_FS_RUN_OPTIONS, quietMs: 0 });
  return runId;
}

async function runToEnd({ context }: FsPool, runId: number): Promise<void> {
  const { store, poolId, ownerEpoch } = context;
  const batches = new FsDefragBatches(context);
  while (store.runs.get(runId)?.state === 'running') {
    const batchIndex = store.runs.get(runId)?.batchIndex ?? 0;
    const base = { v: 1, kind: 'batch', poolId, runId } as const;
    await batches.process({ ...base, batchIndex, epoch: ownerEpoch ?? 0 });
  }
}

describe.skipIf(!canMount).each(LOOP_FS_TYPES)('payback on a mounted %s', (fsType) => {
  it('compares the files of a run before and after, and changes nothing of them', async () => {
    mount = new LoopMount(fsType);
    const names = makeFiles(mount, FILE_COUNT, FILE_BYTES);
    const before = sha256Manifest(mount.mountPath);
    const accessed = names.map((name) => statSync(mount.path(name)).atimeMs);
    const opened = openPool();
    const runId = beginRun(opened);
    await runToEnd(opened, runId);
    const { paybacks, runs } = opened.context.store;
    const reads = paybacks.readsBefore(runId);
    const handles = names.map((name) => handleOfPath(mount.path(name)));
    expect(reads.map(({ key }) => key)).toEqual(expect.arrayContaining(handles));
    for (const read of reads.filter(({ key }) => handles.includes(key))) {
      expect(read.bytes).toBe(FILE_BYTES);
    }
    await measureAfter(opened.context, runId);
    const figures = paybacks.get(runId)?.figures;
    expect(paybacks.get(runId)).toMatchObject({ skippedReason: null, media: 'unknown' });
    expect(figures?.itemCount).toBeGreaterThanOrEqual(FILE_COUNT);
    expect(figures?.rewrittenBytes).toBe(runs.get(runId)?.progress.doneBytes);
    expect(figures?.beforeMs).toBeGreaterThan(0);
    expect(figures?.afterMs).toBeGreaterThan(0);
    expect(sha256Manifest(mount.mountPath)).toEqual(before);
    expect(names.map((name) => statSync(mount.path(name)).atimeMs)).toEqual(accessed);
  });
});

describe.skipIf(!canMount)('payback on a mount', () => {
  it('leaves out files that were written meanwhile', async () => {
    mount = new LoopMount('ext4');
    const names = makeFiles(mount, FILE_COUNT, FILE_BYTES);
    const opened = openPool();
    const runId = beginRun(opened);
    await runToEnd(opened, runId);
    const { paybacks } = opened.context.store;
    const before = paybacks.readsBefore(runId);
    const isDone = (handle: string) => opened.context.store.candidates.isDone(runId, handle);
    const movedCount = before.filter(({ key }) => isDone(key)).length;
    expect(movedCount).toBeGreaterThanOrEqual(FILE_COUNT);
    appendFileSync(mount.path(names[0] ?? ''), 'more');
    await measureAfter(opened.context, runId);
    expect(paybacks.get(runId)?.figures).toMatchObject({
      itemCount: movedCount - 1,
      droppedCount: before.length - movedCount + 1,
    });
  });

  it('is skipped, saying so, while others use the device, and the run is done all the same', async () => {
    vi.stubEnv('DYNAMICFS_GOVERNOR', 'on');
    mount = new LoopMount('ext4');
    makeReadable(mount.path('readable'));
    makeFiles(mount, FILE_COUNT, FILE_BYTES);
    const opened = openPool();
    const runId = beginRun(opened);
    const { store } = opened.context;
    const run = store.runs.get(runId);
    if (!run) throw new Error('no such run');
    await scanForRun(opened.context, run, makeScanControl());
    {
      await using _reads = new SteadyReads(mount.path('readable'));
      const probe = new LoadProbe(deviceNamesUnder(mount.mountPath));
      await vi.waitFor(() => expect(probe.take()?.readCount).toBeGreaterThan(100), 60_000);
      await measureBefore(opened.context, run);
    }
    const skipped = { figures: null, skippedReason: 'others use the disks' };
    expect(store.paybacks.get(runId)).toMatchObject({ ...skipped, endedAtMs: null });
    await runToEnd(opened, runId);
    await measureAfter(opened.context, runId);
    expect(store.runs.get(runId)).toMatchObject({ state: 'completed' });
    expect(store.paybacks.get(runId)).toMatchObject(skipped);
    expect(store.paybacks.get(runId)?.endedAtMs).not.toBeNull();
  });
});
