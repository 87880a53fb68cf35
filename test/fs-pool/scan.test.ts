/**
 * The scan of mounted file systems, on real ones.
 *
 * Strategy: files of every kind are made, both ways of scanning look at them, and must agree on
 * every figure; what the figures should be is known from how the files were made.
 */

import { execFileSync } from 'node:child_process';
import { mkdirSync, unlinkSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { makeFragments } from '../../bench/support/make-fragments.mjs';
import { SCAN_CONTROL, scanProgress } from '../../src/domain/file-scan.js';
import { scanMount } from '../../workers/scan-file-system.js';
import { freeSpaceOf } from '../../workers/scan-free-space.js';
import { canMount, LOOP_FS_TYPES, LoopMount } from '../support/loop-mounts.js';
import {
  BLOCK_BYTES,
  comparable,
  makeOddFiles,
  scanBoth,
  scanTask,
  writeBlocksAt,
  writeBytes,
} from '../support/scan-lab.js';

const MIB = 1024 * 1024;
const BULK = { ext4: 'ext4-inode-tables', xfs: 'xfs-bulkstat', btrfs: 'btrfs-tree-search' };

describe.skipIf(!canMount).each(LOOP_FS_TYPES)('a scan of %s', (fsType) => {
  it('counts files of every kind alike by the tables and by the walk', () => {
    using mount = new LoopMount(fsType);
    makeOddFiles(mount);
    const [bulk, walk] = scanBoth(mount);
    expect(bulk.method).toBe(BULK[fsType]);
    expect(walk.method).toBe('fiemap-walk');
    expect(bulk).toMatchObject({
      fileCount: 11,
      emptyCount: 1,
      hardLinkedCount: 1,
      sparseCount: 2,
      unwrittenCount: 2,
      unwrittenBytes: MIB + 64 * 1024,
      fragmentedCount: 0,
      failedCount: 0,
      vanishedCount: 0,
      inlineCount: fsType === 'btrfs' ? 1 : 0,
      sharedKnown: true,
      stopped: false,
    });
    expect(comparable(bulk)).toEqual(comparable(walk));
  });

  it('finds fragmented files, the worst first, by handle and with their names', () => {
    using mount = new LoopMount(fsType);
    makeFragments(mount.mountPath, fsType, [
      { path: mount.path('some'), sizeBytes: 16 * BLOCK_BYTES, fragmentCount: 4 },
      { path: mount.path('worst'), sizeBytes: 3000 * BLOCK_BYTES, fragmentCount: 3000 },
    ]);
    mount.remount();
    const [bulk, walk] = scanBoth(mount);
    expect(comparable(bulk)).toEqual(comparable(walk));
    expect(bulk.fragmentedCount).toBe(2);
    expect(
      bulk.candidates.map(({ pathHex }) => Buffer.from(pathHex ?? '', 'hex').toString()),
    ).toEqual(['worst', 'some']);
    expect(bulk.candidates[0]?.fragmentCount).toBeGreaterThan(1500);
    expect(bulk.candidates[0]?.tier).toBe('hot');
    expect(sum(bulk.map?.fragmentedBytes)).toBe(3016 * BLOCK_BYTES);
    expect(sum(walk.map?.usedBytes)).toBe(3016 * BLOCK_BYTES);
    expect(bulk.fragmentCountHistogram.reduce((a, b) => a + b, 0)).toBe(2);
    expect(bulk.fragmentSizeHistogram.reduce((total, { bytes }) => total + bytes, 0)).toBe(
      bulk.allocatedBytes,
    );
    const [one] = scanBoth(mount, { candidateLimit: 1 });
    expect(one.truncated).toBe(true);
    expect(one.candidates).toEqual(bulk.candidates.slice(0, 1));
  });

  it('follows no link, enters no other mount, and can be limited to a directory or a file', () => {
    using mount = new LoopMount(fsType);
    makeOddFiles(mount);
    mkdirSync(mount.path('other'));
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', mount.path('other')]);
    try {
      writeBytes(mount.path('other', 'hidden'), 100);
      const walk = scanMount(scanTask(mount, { method: 'walk' }));
      expect(walk).toMatchObject({ fileCount: 11, otherMountCount: 1, failedCount: 0 });
      const part = scanMount(scanTask(mount, { subtree: 'a' }));
      expect(part).toMatchObject({ method: 'fiemap-walk', fileCount: 3, fallbackReason: null });
      const one = scanMount(scanTask(mount, { subtree: 'a/second-name' }));
      expect(one).toMatchObject({ fileCount: 1, sizeBytes: 3 * BLOCK_BYTES });
      expect(() => scanMount(scanTask(mount, { subtree: 'link-out' }))).toThrow(
        /cannot scan|cannot open/,
      );
      expect(() => scanMount(scanTask(mount, { subtree: '../..' }))).toThrow('cannot open');
    } finally {
      execFileSync('umount', [mount.path('other')]);
    }
  });

  it('reads a read-only mount', () => {
    using mount = new LoopMount(fsType);
    makeOddFiles(mount);
    mount.remount(['ro']);
    const [bulk, walk] = scanBoth(mount);
    expect(bulk.fileCount).toBe(11);
    expect(comparable(bulk)).toEqual(comparable(walk));
  });

  it('says how far it is and ends when told to', () => {
    using mount = new LoopMount(fsType);
    for (let index = 0; index < 300; index += 1) writeBytes(mount.path(`file-${index}`), 100);
    const task = scanTask(mount);
    scanMount(task);
    expect(scanProgress(task.control ?? new Int32Array(new SharedArrayBuffer(16)))).toBe(300);
    for (const method of ['auto', 'walk'] as const) {
      const stopped = scanTask(mount, { method });
      if (stopped.control) stopped.control[SCAN_CONTROL.stop] = 1;
      const report = scanMount(stopped);
      expect(report.stopped).toBe(true);
      expect(report.fileCount).toBeLessThan(300);
    }
  });

  it('tells the free space as statfs does, in runs, what was freed a moment ago as well', async () => {
    // Else the journal would record by itself in five seconds what was freed.
    const mountOptions = fsType === 'ext4' ? ['commit=300'] : [];
    using mount = new LoopMount(fsType, { mountOptions });
    const task = {
      mountPath: mount.mountPath,
      fsType,
      devicePaths: mount.devicePaths,
      mapCellCount: 16,
    };
    writeFileSync(mount.path('big'), Buffer.alloc(40 * MIB, 1));
    execFileSync('sync', ['-f', mount.mountPath]);
    const before = freeSpaceOf(task);
    unlinkSync(mount.path('big'));
    // XFS frees it in the background, at its leisure.
    await expect
      .poll(() => freeSpaceOf(task).freeBytes - before.freeBytes, { timeout: 60_000 })
      .toBeGreaterThanOrEqual(40 * MIB);
    const after = freeSpaceOf(task);
    expect(after.freeBytes - before.freeBytes).toBeLessThan(42 * MIB);
    expect(after.runs.reduce((total, { bytes }) => total + bytes, 0)).toBe(after.freeBytes);
    expect(after.runs.reduce((total, { count }) => total + count, 0)).toBe(after.runCount);
    expect(sum(after.map?.freeBytes)).toBe(after.freeBytes);
    expect(after.largestBytes).toBeLessThanOrEqual(after.freeBytes);
  });

  it('counts files that come and go during it, and fails none', async () => {
    using mount = new LoopMount(fsType);
    writeBlocksAt(mount.path('stays'), [0, 2, 4]);
    const churn = execFileSync(
      'bash',
      [
        '--norc',
        '-c',
        `for i in $(seq 300); do echo x > "$0/f$i"; done; (for i in $(seq 300); do rm "$0/f$i"; done; for i in $(seq 200); do echo y > "$0/g$i"; done) >/dev/null 2>&1 & echo $!`,
        mount.mountPath,
      ],
      { encoding: 'utf8' },
    );
    for (let round = 0; round < 10; round += 1) {
      for (const method of ['auto', 'walk'] as const) {
        const report = scanMount(scanTask(mount, { method }));
        expect(report.failedCount).toBe(0);
        expect(report.fileCount).toBeGreaterThan(0);
      }
    }
    execFileSync('bash', [
      '--norc',
      '-c',
      `while kill -0 ${churn.trim()} 2>/dev/null; do sleep 0.05; done`,
    ]);
    const [bulk, walk] = scanBoth(mount);
    expect(bulk.fileCount).toBe(201);
    expect(comparable(bulk)).toEqual(comparable(walk));
  });
});

function sum(cells: readonly number[] | undefined): number {
  return (cells ?? []).reduce((a, b) => a + b, 0);
}
