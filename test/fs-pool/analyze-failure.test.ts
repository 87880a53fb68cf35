/** The two halves of an analysis run side by side: what each failure does to the other. */

import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { makeScanControl } from '../../src/domain/file-scan.js';
import { KernelCallError } from '../../src/kernel/kernel-error.js';
import { type FsMount, mountAt } from '../../src/pool/fs-pool/detect.js';
import { analyzeMount } from '../../src/pool/fs-pool/scan.js';
import type { WorkerPool } from '../../src/pool/worker-pool.js';
import { scanMount } from '../../workers/scan-file-system.js';
import { canMount, LoopMount } from '../support/loop-mounts.js';
import { scanTask } from '../support/scan-lab.js';

const { EIO, EACCES } = constants.errno;

describe.skipIf(!canMount)('an analysis', () => {
  it('of which the free space fails first ends with both said, and no rejection that nobody hears', async () => {
    using lab = new LoopMount('ext4');
    const broken = fakeWorkers({
      'scan-file-system': async () => {
        await sleep(20);
        throw eio('read the block device of', lab.mountPath);
      },
      'scan-free-space': () => Promise.reject(eio('read the free space of', lab.mountPath)),
    });
    await expect(analyze(broken, lab)).rejects.toMatchObject({ code: 'ERR_KERNEL' });
    await sleep(20);
  });

  it('whose free space cannot be read keeps the files and is incomplete', async () => {
    using lab = new LoopMount('ext4');
    const workers = fakeWorkers({
      'scan-file-system': async () => scanMount(scanTask(lab)),
      'scan-free-space': () => Promise.reject(eio('read the free space of', lab.mountPath)),
    });
    const { analysis } = await analyze(workers, lab);
    expect(analysis).toMatchObject({
      recommendation: null,
      freeSpace: null,
      incomplete: { code: 'ERR_KERNEL', details: { errnoName: 'EIO' } },
    });
  });

  it('that only lacks rights recommends by what it could see', async () => {
    using lab = new LoopMount('ext4');
    const scan = scanMount(scanTask(lab));
    const counts = { failedCount: 1, missedPartCount: 1 };
    const workers = (firstErrno: number) =>
      fakeWorkers({
        'scan-file-system': async () => ({ ...scan, ...counts, firstErrno }),
        'scan-free-space': () => Promise.reject(eio('read', lab.mountPath, EACCES)),
      });
    const refused = await analyze(workers(EACCES), lab);
    expect(refused.analysis).toMatchObject({ recommendation: 'None', incomplete: null });
    const unread = await analyze(workers(EIO), lab);
    expect(unread.analysis).toMatchObject({ recommendation: null });
    expect(unread.analysis.incomplete?.message).toContain('(EIO)');
  });
});

function eio(call: string, path: string, errno: number = EIO): KernelCallError {
  return new KernelCallError(call, errno, path);
}

function fakeWorkers(tasks: Readonly<Record<string, () => Promise<unknown>>>): WorkerPool {
  return { run: (name: string) => tasks[name]?.() } as unknown as WorkerPool;
}

function analyze(workers: WorkerPool, lab: LoopMount) {
  return analyzeMount(workers, mountAt(lab.mountPath) as FsMount, {
    subtree: null,
    threadCount: 1,
    mapCellCount: 0,
    worstCount: 1,
    nowMs: Date.now(),
    control: makeScanControl(),
  });
}
