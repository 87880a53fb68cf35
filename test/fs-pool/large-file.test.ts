/**
 * Large files: without verification their pages are asked for ahead of the move instead of read, so their
 * content has to be seen to arrive that way, too.
 */

import { describe, expect, it } from 'vitest';
import { MOVE_RATE, makeMoveControl } from '../../src/domain/move-tasks.js';
import { GIB, KIB, MIB } from '../../src/domain/units.js';
import { fragmentCount, makeFragmented, sha256 } from '../support/fragmented-files.js';
import { canMount, LOOP_FS_TYPES, type LoopFsType, LoopMount } from '../support/loop-mounts.js';
import { finish, move, prepare, readyMoves, waitForClock } from '../support/move-lab.js';

describe.skipIf(!canMount).each(LOOP_FS_TYPES)('a large file on %s', (fsType) => {
  it.each([true, false])('keeps its content, verified: %s', (verify) => {
    using mount = new LoopMount(fsType, { sizeBytes: 512 * MIB });
    makeFragmented(mount, ['large'], { sizeBytes: 24 * MIB, stepBytes: 64 * KIB });
    const path = mount.path('large');
    const before = { sha256: sha256(path), fragmentCount: fragmentCount(path) };
    expect(before.fragmentCount).toBeGreaterThan(100);
    mount.remount();
    waitForClock();

    const outcomes = move(mount, ['large'], { verify });

    const verification = verify ? 'verified' : 'not-asked';
    expect(outcomes).toMatchObject([{ kind: 'moved', verification, movedBytes: 24 * MIB }]);
    mount.remount();
    expect(sha256(path)).toBe(before.sha256);
    expect(fragmentCount(path)).toBeLessThan(before.fragmentCount / 10);
  });
});

const LARGE_BYTES = 160 * MIB;
const IN_PIECES = { kind: 'planned', plan: { moveBytes: 128 * MIB, resumeBytes: 128 * MIB } };

/** One of two: on Btrfs they take turns. */
function largeOn(fsType: LoopFsType, sizeBytes: number): LoopMount {
  const mount = new LoopMount(fsType, { sizeBytes });
  makeFragmented(mount, ['large', 'other'], { sizeBytes: LARGE_BYTES, stepBytes: MIB });
  mount.remount();
  waitForClock();
  return mount;
}

describe.skipIf(!canMount).each(LOOP_FS_TYPES)('a file on %s of more than 128 MiB', (fsType) => {
  it.each([true, false])('is one piece at full speed, verified: %s', (verify) => {
    using mount = largeOn(fsType, 6 * GIB);
    const path = mount.path('large');
    const before = { sha256: sha256(path), count: fragmentCount(path) };
    expect(before.count).toBeGreaterThan(100);

    const [outcome] = move(mount, ['large'], { verify, control: makeMoveControl() });

    expect(outcome).toMatchObject({ kind: 'moved', movedBytes: LARGE_BYTES, resumeBytes: null });
    expect(fragmentCount(path)).toBeLessThanOrEqual(2);
    mount.remount();
    expect(sha256(path)).toBe(before.sha256);
  });

  it('is moved in smaller ones where the pace is limited or little is free', () => {
    using roomy = largeOn(fsType, 6 * GIB);
    const control = makeMoveControl();
    Atomics.store(control, MOVE_RATE, 1024);
    expect(prepare(roomy, ['large'], { dryRun: true, control })).toMatchObject([IN_PIECES]);
    using narrow = largeOn(fsType, 1 * GIB);
    expect(prepare(narrow, ['large'], { dryRun: true })).toMatchObject([IN_PIECES]);
  });
});

// XFS has its copy by then, and only shares it.
describe.skipIf(!canMount).each(['ext4', 'btrfs'] as const)('such a piece on %s', (fsType) => {
  it('ends when others come before it has moved', () => {
    using mount = largeOn(fsType, 6 * GIB);
    const control = makeMoveControl();
    const moves = readyMoves(prepare(mount, ['large'], { control }));
    const count = fragmentCount(mount.path('large'));
    Atomics.store(control, MOVE_RATE, 1024);
    expect(finish(mount, moves, control)).toMatchObject([{ kind: 'not-begun' }]);
    expect(fragmentCount(mount.path('large'))).toBe(count);
  });
});
