/**
 * The scan where names, links, mounts and times are not as usual, or somebody changes them on purpose.
 *
 * As in scan.test.ts, the tables and the walk must agree on every figure.
 */

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, linkSync, mkdirSync, renameSync, rmSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeFragments } from '../../bench/support/make-fragments.mjs';
import { scanMount } from '../../workers/scan-file-system.js';
import { canMount, LOOP_FS_TYPES, LoopMount } from '../support/loop-mounts.js';
import {
  BLOCK_BYTES,
  comparable,
  scanBoth,
  scanTask,
  writeBlocksAt,
  writeBytes,
} from '../support/scan-lab.js';

const MIB = 1024 * 1024;
/** Far more than there is inside. */
const OUTSIDE_BYTES = 1024 * MIB;
const DAY_S = 24 * 60 * 60;
const NOBODY = 65_534;

function expectAgreement(mount: LoopMount) {
  const [bulk, walk] = scanBoth(mount);
  expect(bulk.fallbackReason).toBeNull();
  expect(comparable(bulk)).toEqual(comparable(walk));
  return bulk;
}

describe.skipIf(!canMount).each(LOOP_FS_TYPES)('a scan of %s', (fsType) => {
  it('tells names byte for byte, and none of a file below another mount', () => {
    using mount = new LoopMount(fsType);
    const names = [Buffer.from('with\nnewline'), Buffer.from([0xff, 0xfe, 0x0a, 0x2f - 1])];
    mkdirSync(mount.path('covered'));
    const paths = [
      ...names.map((_, index) => mount.path(`${index}`)),
      mount.path('covered', 'one'),
    ];
    makeFragments(
      mount.mountPath,
      fsType,
      paths.map((path, index) => ({
        path,
        sizeBytes: (8 - 2 * index) * BLOCK_BYTES,
        fragmentCount: 8 - 2 * index,
      })),
    );
    for (const [index, name] of names.entries()) {
      renameSync(mount.path(`${index}`), Buffer.concat([Buffer.from(`${mount.mountPath}/`), name]));
    }
    mount.remount();
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', mount.path('covered')]);
    try {
      const [bulk, walk] = scanBoth(mount);
      const hex = names.map((name) => name.toString('hex'));
      expect(bulk.candidates.map(({ pathHex }) => pathHex)).toEqual([...hex, null]);
      expect(walk.candidates.map(({ pathHex }) => pathHex)).toEqual(hex);
      expect(walk.otherMountCount).toBe(1);
    } finally {
      execFileSync('umount', [mount.path('covered')]);
    }
    expectAgreement(mount);
  });

  it('counts a file of many names once', () => {
    using mount = new LoopMount(fsType);
    writeBytes(mount.path('pair'), BLOCK_BYTES);
    linkSync(mount.path('pair'), mount.path('second'));
    for (const directory of ['a', 'b', 'c', 'd']) {
      mkdirSync(mount.path(directory));
      writeBytes(mount.path(directory, 'one'), BLOCK_BYTES);
      for (let index = 0; index < 2000; index += 1) {
        linkSync(mount.path(directory, 'one'), mount.path(directory, `name-${index}`));
      }
    }
    expect(expectAgreement(mount)).toMatchObject({ fileCount: 5, hardLinkedCount: 5 });
  });

  it('walks thousands of directories in one, a part at a time', () => {
    using mount = new LoopMount(fsType);
    mkdirSync(mount.path('many'));
    for (let index = 0; index < 9000; index += 1) mkdirSync(mount.path('many', `${index}`));
    for (const index of [0, 4500, 8999]) writeBytes(mount.path('many', `${index}`, 'file'), 1);
    const report = scanMount(scanTask(mount, { method: 'walk' }));
    expect(report).toMatchObject({ fileCount: 3, failedCount: 0, vanishedCount: 0 });
    expect(report.directoryCount).toBeGreaterThanOrEqual(9002);
    expectAgreement(mount);
  });

  it('sorts files by the later of their last read and last write', () => {
    using mount = new LoopMount(fsType, { mountOptions: ['noatime'] });
    const nowS = Math.floor(Date.now() / 1000);
    const [today, lastWeek, longAgo] = [nowS - 60, nowS - 7 * DAY_S, nowS - 90 * DAY_S];
    const times = [
      [today, longAgo],
      [longAgo, today],
      [lastWeek, longAgo],
      [longAgo, longAgo],
    ] as const;
    for (const [index, [atime, mtime]] of times.entries()) {
      writeBytes(mount.path(`file-${index}`), BLOCK_BYTES);
      utimesSync(mount.path(`file-${index}`), atime, mtime);
    }
    const { tiers } = expectAgreement(mount);
    expect(tiers).toMatchObject({
      hot: { fileCount: 2, allocatedBytes: 2 * BLOCK_BYTES },
      warm: { fileCount: 1, fragmentCount: 1 },
      cold: { fileCount: 1, fragmentedCount: 0 },
    });
  });

  it('tells written, unwritten and missing parts of one file apart', () => {
    using mount = new LoopMount(fsType);
    writeBlocksAt(mount.path('mixed'), [100, 700]);
    execFileSync('fallocate', ['-l', '1M', mount.path('mixed')]);
    execFileSync('dd', [
      ...['if=/dev/urandom', `of=${mount.path('mixed')}`, 'bs=4096', 'count=2', 'seek=3'],
      ...['conv=notrunc,fsync', 'status=none'],
    ]);
    expect(expectAgreement(mount)).toMatchObject({
      fileCount: 1,
      sparseCount: 1,
      unwrittenCount: 1,
      unwrittenBytes: MIB - 3 * BLOCK_BYTES,
      allocatedBytes: MIB + BLOCK_BYTES,
    });
    if (fsType === 'ext4') return;
    execFileSync('cp', ['--reflink=always', mount.path('mixed'), mount.path('copy')]);
    const shared = expectAgreement(mount);
    expect(shared).toMatchObject({ fileCount: 2, sharedCount: 2 });
    expect(shared.sharedBytes).toBeGreaterThanOrEqual(2 * 4 * BLOCK_BYTES);
  });

  it('is not led out of the mount by a user who swaps a directory for a link', async () => {
    using mount = new LoopMount(fsType);
    using outside = new LoopMount('ext4');
    writeBlocksAt(outside.path('large'), [0], OUTSIDE_BYTES);
    mkdirSync(mount.path('theirs', 'directory', 'below'), { recursive: true });
    for (let index = 0; index < 40; index += 1) {
      writeBytes(mount.path('theirs', 'directory', 'below', `in-${index}`), BLOCK_BYTES);
    }
    for (const path of ['theirs', join('theirs', 'directory')]) {
      chownSync(mount.path(path), NOBODY, NOBODY);
    }
    const swap = `cd "$0"; echo ready; while [ -e theirs ]; do
      mv -T directory away; ln -s "$1" directory; rm directory; mv -T away directory; done`;
    writeBytes(mount.path('theirs', 'theirs'), 0);
    const attacker = spawn('bash', ['--norc', '-c', swap, '.', outside.mountPath], {
      cwd: mount.path('theirs'),
      uid: NOBODY,
      gid: NOBODY,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const ended = once(attacker, 'exit');
    await once(attacker.stdout, 'data');
    for (let round = 0; round < 30; round += 1) {
      const whole = scanMount(scanTask(mount, { method: 'walk' }));
      expect(whole.sizeBytes).toBeLessThan(OUTSIDE_BYTES);
      expect(sizeOfSubtree(mount, 'theirs/directory')).toBeLessThan(OUTSIDE_BYTES);
    }
    rmSync(mount.path('theirs', 'theirs'));
    await ended;
    expect(expectAgreement(mount).fileCount).toBe(40);
  });
});

/** 0 while it is away, or a link. */
function sizeOfSubtree(mount: LoopMount, subtree: string): number {
  try {
    return scanMount(scanTask(mount, { subtree })).sizeBytes;
  } catch (cause) {
    expect(String(cause)).toMatch(/cannot open|cannot scan/);
    return 0;
  }
}
