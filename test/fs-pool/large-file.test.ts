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
const IN_PIECES = { kind: 'planned', plan: { moveBytes: 128 * MIB, resumeBytes: 128 * MIB } };

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
    it('is one piece at full speed, and smaller ones as soon as the pace is limited', () => {
      using mount = largeOnBtrfs(6 * GIB);
      const path = mount.path('large');
      const before = { sha256: sha256(path), count: fragmentCount(path) };
      expect(before.count).toBeGreaterThan(100);
      const control = makeMoveControl();
      const moves = readyMoves(prepare(mount, ['large'], { control }));
      expect(moves).toMatchObject([{ plan: { moveBytes: LARGE_BYTES, resumeBytes: null } }]);
      Atomics.store(control, MOVE_RATE, 1024);
      expect(finish(mount, moves, control)).toMatchObject([{ kind: 'not-begun' }]);
      expect(fragmentCount(path)).toBe(before.count);
      expect(prepare(mount, ['large'], { dryRun: true, control })).toMatchObject([IN_PIECES]);

      Atomics.store(control, MOVE_RATE, 0);
      expect(move(mount, ['large'], { control })).toMatchObject([
        { kind: 'moved', verification: 'verified', resumeBytes: null },
      ]);
      expect(fragmentCount(path)).toBeLessThanOrEqual(2);
      mount.remount();
      expect(sha256(path)).toBe(before.sha256);
    });

    it('is moved in smaller ones where little is free', () => {
      using mount = largeOnBtrfs(1 * GIB);
      expect(prepare(mount, ['large'], { dryRun: true })).toMatchObject([IN_PIECES]);
    });
  },
);
