/** Files that a move leaves alone, each with its reason, and the space that it leaves. */

import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, rmSync, statfsSync, symlinkSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { dutyOf } from '../../src/domain/governor-pace.js';
import { MOVE_DUTY, makeMoveControl } from '../../src/domain/move-tasks.js';
import { KIB, MIB } from '../../src/domain/units.js';
import { kernelAddon } from '../../src/kernel/addon.js';
import { prepareMoves } from '../../workers/prepare-moves.js';
import {
  fragmentCount,
  handleOfPath,
  makeFragmented,
  sha256,
} from '../support/fragmented-files.js';
import { canMount, LOOP_FS_TYPES, type LoopFsType, LoopMount } from '../support/loop-mounts.js';
import { move, prepare, prepareTask, waitForClock } from '../support/move-lab.js';

const REFLINK = ['xfs', 'btrfs'] as const;

describe.skipIf(!canMount).each(LOOP_FS_TYPES)('a move on %s', (fsType: LoopFsType) => {
  let mount: LoopMount;
  beforeAll(() => {
    mount = new LoopMount(fsType);
  });
  afterAll(() => mount.remove());

  function reasonFor(name: string, options: Parameters<typeof prepare>[2] = {}): unknown {
    waitForClock();
    const [outcome] = prepare(mount, [name], options);
    return outcome?.kind === 'skipped' ? outcome.reason : outcome?.kind;
  }

  it.each([
    ['immutable', '+i'],
    ['append-only', '+a'],
  ])('leaves %s files alone', (reason, flag) => {
    makeFragmented(mount, [reason], { sizeBytes: 64 * KIB });
    execFileSync('chattr', [flag, mount.path(reason)]);
    expect(reasonFor(reason)).toBe(reason);
    execFileSync('chattr', [flag.replace('+', '-'), mount.path(reason)]);
    expect(reasonFor(reason)).toBe('ready');
  });

  it('leaves files alone whose owner opted out', () => {
    makeFragmented(mount, ['opted'], { sizeBytes: 64 * KIB });
    execFileSync('setfattr', ['-n', 'user.dynamicfs.nodefrag', '-v', '1', mount.path('opted')]);
    expect(reasonFor('opted')).toBe('opted-out');
  });

  it('leaves files alone that were written to a moment ago', () => {
    makeFragmented(mount, ['fresh'], { sizeBytes: 64 * KIB });
    expect(reasonFor('fresh', { quietMs: 60_000 })).toBe('just-written');
  });

  it('says that a file has vanished', () => {
    makeFragmented(mount, ['gone'], { sizeBytes: 64 * KIB });
    const task = prepareTask(mount, ['gone']);
    rmSync(mount.path('gone'));
    execFileSync('sync', ['-f', mount.mountPath]);
    expect(prepareMoves(task)).toEqual([
      { kind: 'skipped', reason: 'vanished', fragmentCount: null },
    ]);
  });

  it('takes directories for what they are', () => {
    mkdirSync(mount.path('directory'));
    expect(reasonFor('directory')).toBe('not-a-regular-file');
  });

  it('keeps free what must stay free', () => {
    makeFragmented(mount, ['large'], { sizeBytes: 256 * KIB });
    const { bavail, bsize } = statfsSync(mount.mountPath);
    expect(reasonFor('large', { freeBytesMin: bavail * bsize })).toBe('no-space');
  });

  it('only looks in a dry run', () => {
    makeFragmented(mount, ['looked'], { sizeBytes: 64 * KIB });
    const before = fragmentCount(mount.path('looked'));
    waitForClock();
    const [outcome] = prepare(mount, ['looked'], { dryRun: true });
    expect(outcome).toMatchObject({
      kind: 'planned',
      plan: { fragmentsBefore: before, pieceFragmentsAfter: 1, moveBytes: 64 * KIB },
    });
    expect(fragmentCount(mount.path('looked'))).toBe(before);
  });

  it('does not flush the file system for a dry run, nor while others use it', () => {
    makeFragmented(mount, ['unflushed'], { sizeBytes: 64 * KIB });
    waitForClock();
    const flushes = vi.spyOn(kernelAddon(), 'syncFileSystem');
    prepare(mount, ['unflushed'], { dryRun: true, placeTry: 1 });
    expect(flushes).not.toHaveBeenCalled();
    makeFragmented(mount, ['gentle'], { sizeBytes: 64 * KIB });
    waitForClock();
    const control = makeMoveControl();
    // Others use the disk, and we may work for nearly all of the time all the same.
    Atomics.store(control, MOVE_DUTY, dutyOf(0.999, 1));
    prepare(mount, ['gentle'], { placeTry: 1, control });
    expect(flushes).not.toHaveBeenCalled();
    prepare(mount, ['unflushed'], { placeTry: 1 });
    expect(flushes).toHaveBeenCalledOnce();
    flushes.mockRestore();
  });

  it('refuses a directory for donors that somebody else made', () => {
    makeFragmented(mount, ['trap'], { sizeBytes: 64 * KIB });
    waitForClock();
    const task = prepareTask(mount, ['trap']);
    rmSync(mount.path('.dynamicfs'), { recursive: true, force: true });
    symlinkSync('/tmp', mount.path('.dynamicfs'));
    const tried = (): unknown => prepareMoves(task)[0];
    expect(tried()).toMatchObject({ kind: 'failed' });
    rmSync(mount.path('.dynamicfs'));
    mkdirSync(mount.path('.dynamicfs'), { mode: 0o777 });
    execFileSync('chmod', ['777', mount.path('.dynamicfs')]);
    expect(tried()).toMatchObject({ kind: 'failed', error: { code: 'ERR_PERMISSION' } });
    rmSync(mount.path('.dynamicfs'), { recursive: true });
  });

  it('moves the file of a handle, wherever its name leads by then', () => {
    makeFragmented(mount, ['named'], { sizeBytes: 64 * KIB });
    waitForClock();
    const content = sha256(mount.path('named'));
    const task = prepareTask(mount, ['named']);
    linkSync(mount.path('named'), mount.path('other-name'));
    rmSync(mount.path('named'));
    symlinkSync('/etc/passwd', mount.path('named'));
    waitForClock();
    expect(prepareMoves(task)).toMatchObject([{ kind: 'ready' }]);
    expect(handleOfPath(mount.path('other-name'))).toBe(task.files[0]?.handle);
    expect(sha256(mount.path('other-name'))).toBe(content);
  });

  it('says that it is read-only, and changes nothing', () => {
    makeFragmented(mount, ['kept'], { sizeBytes: 64 * KIB });
    waitForClock();
    const content = sha256(mount.path('kept'));
    const before = fragmentCount(mount.path('kept'));
    execFileSync('mount', ['-o', 'remount,ro', mount.mountPath]);
    const [outcome] = prepare(mount, ['kept']);
    expect(outcome).toMatchObject({ reason: 'read-only' });
    execFileSync('mount', ['-o', 'remount,rw', mount.mountPath]);
    expect(fragmentCount(mount.path('kept'))).toBe(before);
    expect(sha256(mount.path('kept'))).toBe(content);
  });
});

describe.skipIf(!canMount).each(REFLINK)('shared blocks on %s', (fsType) => {
  it('stay shared: a reflinked file is left alone', () => {
    using mount = new LoopMount(fsType);
    makeFragmented(mount, ['original'], { sizeBytes: 128 * KIB });
    execFileSync('cp', ['--reflink=always', mount.path('original'), mount.path('clone')]);
    execFileSync('sync', ['-f', mount.mountPath]);
    waitForClock();
    expect(prepare(mount, ['original', 'clone'])).toMatchObject([
      { kind: 'skipped', reason: 'shared' },
      { kind: 'skipped', reason: 'shared' },
    ]);
    const [outcome] = move(mount, ['original'], { allowUnshare: true });
    expect(outcome).toMatchObject({ kind: 'moved', verification: 'verified' });
    expect(sha256(mount.path('original'))).toBe(sha256(mount.path('clone')));
  });
});

describe.skipIf(!canMount)('a snapshot on btrfs', () => {
  it('costs no space after a run over the files that it holds', () => {
    using mount = new LoopMount('btrfs');
    execFileSync('btrfs', ['subvolume', 'create', mount.path('sub')]);
    makeFragmented(mount, ['sub/a', 'sub/b'], { sizeBytes: MIB });
    execFileSync('btrfs', ['subvolume', 'snapshot', mount.path('sub'), mount.path('snap')]);
    execFileSync('sync', ['-f', mount.mountPath]);
    waitForClock();
    const used = (): number => {
      const { blocks, bfree, bsize } = statfsSync(mount.mountPath);
      return (blocks - bfree) * bsize;
    };
    const before = used();
    expect(move(mount, ['sub/a', 'sub/b', 'snap/a'])).toEqual([]);
    execFileSync('sync', ['-f', mount.mountPath]);
    expect(used() - before).toBeLessThan(256 * KIB);
  });

  it('does not keep files of a subvolume from being moved', () => {
    using mount = new LoopMount('btrfs');
    execFileSync('btrfs', ['subvolume', 'create', mount.path('sub')]);
    makeFragmented(mount, ['sub/a', 'sub/b'], { sizeBytes: 128 * KIB });
    waitForClock();
    const content = sha256(mount.path('sub/a'));
    expect(move(mount, ['sub/a'])).toMatchObject([{ kind: 'moved', fragmentsAfter: 1 }]);
    expect(sha256(mount.path('sub/a'))).toBe(content);
  });
});
