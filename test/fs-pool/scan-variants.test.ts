/**
 * The scan on file systems made otherwise: what moves ext4's tables, what shares blocks, who asks.
 *
 * As in scan.test.ts, the tables and the walk must agree on every figure.
 */

import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeFragments } from '../../bench/support/make-fragments.mjs';
import { kernelAddon } from '../../src/kernel/addon.js';
import { scanFreeSpace } from '../../src/kernel/scan.js';
import { scanMount } from '../../workers/scan-file-system.js';
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
import { tempDirectory } from '../support/temp-directory.js';

const MIB = 1024 * 1024;

/** Every other block, so that no two records join. */
function everyOther(count: number): number[] {
  return Array.from({ length: count }, (_, index) => 2 * index);
}

function expectAgreement(mount: LoopMount) {
  const [bulk, walk] = scanBoth(mount);
  expect(bulk.fallbackReason).toBeNull();
  expect(comparable(bulk)).toEqual(comparable(walk));
  return bulk;
}

describe.skipIf(!canMount)('a scan of ext4', () => {
  it.each([
    ['blocks of 1 KiB', ['-b', '1024']],
    ['no extents', ['-O', '^extents,^64bit,^metadata_csum,^has_journal']],
    ['block maps in blocks of 1 KiB', ['-b', '1024', '-O', '^extents,^64bit']],
    ['meta_bg', ['-O', 'meta_bg,^resize_inode,^flex_bg', '-b', '1024', '-g', '1024']],
    ['32 bits and no flex_bg', ['-O', '^64bit,^flex_bg']],
    ['no checksums', ['-O', '^metadata_csum,^uninit_bg']],
    ['sparse_super2', ['-O', 'sparse_super2,^resize_inode']],
    ['small inodes', ['-I', '128']],
    ['large inodes', ['-I', '1024']],
    ['bigalloc', ['-O', 'bigalloc', '-C', '65536']],
    ['orphan_file', ['-O', 'orphan_file']],
  ])('with %s agrees with the walk', (_, mkfsArgs) => {
    using mount = new LoopMount('ext4', { mkfsArgs });
    const hasBlockMaps = mkfsArgs.some((argument) => argument.includes('^extents'));
    // Nothing can be preallocated without extents.
    if (!hasBlockMaps) makeOddFiles(mount);
    writeBlocksAt(mount.path('deep-tree'), everyOther(2500));
    writeBlocksAt(mount.path('far'), [0, 3000, 300_000]);
    for (const size of [1, 12, 13, 300, 1100]) {
      writeBytes(mount.path(`long-${size}`), size * BLOCK_BYTES);
    }
    mount.remount();
    const report = expectAgreement(mount);
    expect(report.fileCount).toBeGreaterThanOrEqual(5);
    expect(report.failedCount).toBe(0);
    expect(report.fragmentCount).toBeGreaterThan(2000);
  });

  it('passes over the files in which ext4 keeps quotas', () => {
    using mount = new LoopMount('ext4', { mkfsArgs: ['-I', '256'] });
    makeOddFiles(mount);
    mount.unmount();
    execFileSync('tune2fs', ['-Q', 'usrquota,grpquota,prjquota', mount.devicePath], {
      stdio: 'ignore',
    });
    // A kernel without quotas mounts it for reading only.
    mount.mount(['ro']);
    expect(expectAgreement(mount).fileCount).toBe(11);
  });

  it('follows trees of two levels and more that are fragmented on the disk', () => {
    using mount = new LoopMount('ext4', { mkfsArgs: ['-b', '4096'] });
    makeFragments(mount.mountPath, 'ext4', [
      { path: mount.path('deep'), sizeBytes: 5000 * BLOCK_BYTES, fragmentCount: 5000 },
    ]);
    const depth = execFileSync('debugfs', ['-R', 'ex /deep', mount.devicePath], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    expect(depth).toMatch(/ 2\/ *2 /);
    const report = expectAgreement(mount);
    expect(report.fragmentCount).toBeGreaterThan(4000);
    expect(report.candidates).toHaveLength(1);
  });

  it('counts data in inodes as inline', () => {
    using mount = new LoopMount('ext4', { mkfsArgs: ['-O', 'inline_data'] });
    writeBytes(mount.path('inline'), 50);
    writeBytes(mount.path('inline-in-attributes'), 100);
    writeBytes(mount.path('empty'), 0);
    writeBytes(mount.path('outside'), 5000);
    expect(expectAgreement(mount)).toMatchObject({
      inlineCount: 2,
      emptyCount: 1,
      fragmentCount: 1,
    });
  });

  it('walks a directory that is mounted elsewhere, and says why', () => {
    using mount = new LoopMount('ext4');
    makeOddFiles(mount);
    mkdirSync(mount.path('view'));
    execFileSync('mount', ['--bind', mount.path('a'), mount.path('view')]);
    try {
      const [report] = scanBoth(mount, { mountPath: mount.path('view') });
      expect(report).toMatchObject({ method: 'fiemap-walk', fileCount: 3 });
      expect(report.fallbackReason).toContain('a part of it');
    } finally {
      execFileSync('umount', [mount.path('view')]);
    }
  });
});

describe.skipIf(!canMount)('a scan of files that share blocks', () => {
  it.each([
    ['xfs', ['-m', 'rmapbt=0'], 'files may share blocks, and without rmapbt only each file tells'],
    ['xfs', ['-m', 'rmapbt=1'], null],
    ['btrfs', [], null],
  ] as const)(
    'on %s (%s) counts each of them, as the walk does',
    (fsType, mkfsArgs, slowReason) => {
      using mount = new LoopMount(fsType, { mkfsArgs });
      writeBytes(mount.path('alone'), 8 * BLOCK_BYTES);
      const before = expectAgreement(mount);
      expect(before).toMatchObject({ sharedCount: 0, sharedBytes: 0, slowReason: null });
      writeBytes(mount.path('original'), 64 * BLOCK_BYTES);
      execFileSync('cp', ['--reflink=always', mount.path('original'), mount.path('copy')]);
      const both = { sharedCount: 2, sharedBytes: 128 * BLOCK_BYTES, slowReason };
      expect(expectAgreement(mount)).toMatchObject(both);
      mount.remount();
      expect(expectAgreement(mount)).toMatchObject(both);
      // Half of the copy gets blocks of its own.
      execFileSync('dd', [
        'if=/dev/zero',
        `of=${mount.path('copy')}`,
        'bs=4096',
        'count=32',
        'conv=notrunc,fsync',
        'status=none',
      ]);
      expect(expectAgreement(mount)).toMatchObject({ sharedCount: 2, fileCount: 3 });
      rmSync(mount.path('original'));
      // XFS frees it in the background.
      mount.remount();
      expect(expectAgreement(mount)).toMatchObject({ sharedCount: 0 });
    },
  );

  it('takes an overwritten middle on Btrfs for no sharing', () => {
    using mount = new LoopMount('btrfs');
    writeBytes(mount.path('file'), 256 * BLOCK_BYTES);
    execFileSync('sync', ['-f', mount.mountPath]);
    execFileSync('dd', [
      'if=/dev/zero',
      `of=${mount.path('file')}`,
      'bs=4096',
      'seek=100',
      'count=10',
      'conv=notrunc,fsync',
      'status=none',
    ]);
    expect(expectAgreement(mount)).toMatchObject({
      sharedCount: 0,
      fragmentCount: 3,
      fragmentedCount: 1,
    });
  });
});

describe.skipIf(!canMount)('a scan of Btrfs', () => {
  const subvolume = (...args: string[]) =>
    execFileSync('btrfs', ['subvolume', ...args], { stdio: 'ignore' });

  it('includes subvolumes and snapshots below the mount, and knows what those above share', () => {
    using mount = new LoopMount('btrfs');
    subvolume('create', mount.path('sub'));
    subvolume('create', mount.path('sub', 'inner'));
    writeBytes(mount.path('top'), 10 * BLOCK_BYTES);
    writeBytes(mount.path('sub', 'file'), 10 * BLOCK_BYTES);
    writeBytes(mount.path('sub', 'inner', 'file'), 10 * BLOCK_BYTES);
    expect(expectAgreement(mount)).toMatchObject({ fileCount: 3, sharedCount: 0 });
    execFileSync('sync', ['-f', mount.mountPath]);
    subvolume('snapshot', mount.path('sub'), mount.path('snapshot'));
    writeBytes(mount.path('sub', 'new'), 10 * BLOCK_BYTES);
    expect(expectAgreement(mount)).toMatchObject({ fileCount: 5, sharedCount: 2 });
    mount.remount(['subvol=sub']);
    expect(expectAgreement(mount)).toMatchObject({ fileCount: 3, sharedCount: 1 });
  });

  it('counts compressed files, contiguous ones as such', () => {
    using mount = new LoopMount('btrfs', { mountOptions: ['compress-force=zstd'] });
    writeBytes(mount.path('compressed'), 8 * MIB);
    writeBytes(mount.path('small'), 100);
    execFileSync('sync', ['-f', mount.mountPath]);
    const report = expectAgreement(mount);
    expect(report).toMatchObject({ compressedCount: 1, compressedBytes: 8 * MIB });
    expect(report.fragmentCount).toBeLessThan(8);
  });

  it.each([
    ['the v1 space cache', ['-R', '^free-space-tree'], 1],
    ['holes in trees', ['-O', '^no-holes'], 1],
    ['two devices', ['-d', 'raid0', '-m', 'raid1'], 2],
    ['mirrored data', ['-d', 'raid1', '-m', 'raid1'], 2],
  ])('with %s agrees with the walk', (_, mkfsArgs, deviceCount) => {
    using mount = new LoopMount('btrfs', { mkfsArgs, deviceCount });
    makeOddFiles(mount);
    writeBlocksAt(mount.path('many'), everyOther(500));
    expect(expectAgreement(mount)).toMatchObject({ fileCount: 12, failedCount: 0 });
    const { mountPath, fsType, devicePaths } = mount;
    const free = scanFreeSpace({ mountPath, fsType, devicePaths, mapCellCount: 8 });
    expect(free.freeBytes).toBeGreaterThan(100 * MIB);
  });
});

describe.skipIf(!canMount).each(LOOP_FS_TYPES)('a scan of %s by an ordinary user', (fsType) => {
  it('walks what that user may read and says why', () => {
    using mount = new LoopMount(fsType);
    makeOddFiles(mount);
    writeBytes(mount.path('secret'), 100);
    chmodSync(mount.path('secret'), 0o600);
    chmodSync(mount.mountPath, 0o755);
    const report = asNobody(mount.mountPath, () => {
      return scanMount(scanTask(mount, { mountPath: '.' }));
    });
    expect(report.method).toBe('fiemap-walk');
    expect(report.fallbackReason).toMatch(/^cannot .*(EPERM|EACCES)/);
    // ext4's lost+found is root's, too.
    expect(report).toMatchObject({ fileCount: 11, failedCount: fsType === 'ext4' ? 2 : 1 });
    expect(report.firstErrno).toBe(constants.errno.EACCES);
  });
});

describe.skipIf(!canMount)('a scan of another file system', () => {
  it('is refused in plain words where files have no map', () => {
    const directory = tempDirectory('tmpfs');
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', directory]);
    try {
      writeBytes(join(directory, 'file'), 100);
      using mount = new LoopMount('ext4');
      const task = scanTask(mount, { mountPath: directory, fsType: 'tmpfs' });
      expect(() => scanMount(task)).toThrow(/cannot read the maps of files on .*EOPNOTSUPP/);
    } finally {
      execFileSync('umount', [directory]);
    }
  });
});

/** From inside the directory, since others may not pass the root of the tests. */
function asNobody<T>(directory: string, body: () => T): T {
  const before = process.cwd();
  kernelAddon();
  process.chdir(directory);
  process.setegid?.(65_534);
  process.seteuid?.(65_534);
  try {
    return body();
  } finally {
    process.seteuid?.(0);
    process.setegid?.(0);
    process.chdir(before);
  }
}
