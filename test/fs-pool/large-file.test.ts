/**
 * A large file without verification: on Btrfs its pages are asked for ahead of the move instead of read,
 * so its content has to be seen to arrive that way, too.
 */

import { describe, expect, it } from 'vitest';
import { MOVE_RATE, makeMoveControl } from '../../src/domain/move-tasks.js';
import { GIB, KIB, MIB } from '../../src/domain/units.js';
import { fragmentCount, makeFragmented, sha256 } from '../support/fragmented-files.js';
import { canMount, LOOP_FS_TYPES, LoopMount } from '../support/loop-mounts.js';
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

/** One of two, which take turns. */
function largeOnBtrfs(sizeBytes: number): LoopMount {
  const mount = new LoopMount('btrfs', { sizeBytes });
  makeFragmented(mount, ['large', 'other'], { sizeBytes: LARGE_BYTES, stepBytes: MIB });
  mount.remount();
  waitForClock();
  return mount;
}

describe.skipIf(!canMount)(
  'a file on Btrfs that is larger than a piece of other file systems',
  () => {
    it('is moved as one piece, to one place', () => {
      using mount = largeOnBtrfs(6 * GIB);
      const before = sha256(mount.path('large'));
      expect(fragmentCount(mount.path('large'))).toBeGreaterThan(100);
      const outcomes = move(mount, ['large']);
      expect(outcomes).toMatchObject([
        { kind: 'moved', verification: 'verified', resumeBytes: null },
      ]);
      expect(fragmentCount(mount.path('large'))).toBeLessThanOrEqual(2);
      mount.remount();
      expect(sha256(mount.path('large'))).toBe(before);
    });

    it('is left for smaller pieces when others come before it was moved', () => {
      using mount = largeOnBtrfs(6 * GIB);
      const before = {
        sha256: sha256(mount.path('large')),
        count: fragmentCount(mount.path('large')),
      };
      const control = makeMoveControl();
      const moves = readyMoves(prepare(mount, ['large'], { control }));
      expect(moves).toMatchObject([{ plan: { moveBytes: LARGE_BYTES } }]);
      Atomics.store(control, MOVE_RATE, 1024);
      expect(finish(mount, moves, control)).toMatchObject([{ kind: 'not-begun' }]);
      expect(fragmentCount(mount.path('large'))).toBe(before.count);
      expect(sha256(mount.path('large'))).toBe(before.sha256);
    });

    it('is moved piece by piece where the pace is limited or little is free', () => {
      const inPieces = { plan: { moveBytes: 128 * MIB, resumeBytes: 128 * MIB } };
      using mount = largeOnBtrfs(6 * GIB);
      const control = makeMoveControl();
      Atomics.store(control, MOVE_RATE, 1024);
      expect(prepare(mount, ['large'], { dryRun: true, control })).toMatchObject([inPieces]);
      using narrow = largeOnBtrfs(1 * GIB);
      expect(prepare(narrow, ['large'], { dryRun: true })).toMatchObject([inPieces]);
    });
  },
);
