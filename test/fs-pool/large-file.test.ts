/**
 * A large file without verification: on Btrfs its pages are asked for ahead of the move instead of read,
 * so its content has to be seen to arrive that way, too.
 */

import { describe, expect, it } from 'vitest';
import { KIB, MIB } from '../../src/domain/units.js';
import { fragmentCount, makeFragmented, sha256 } from '../support/fragmented-files.js';
import { canMount, LOOP_FS_TYPES, LoopMount } from '../support/loop-mounts.js';
import { move, waitForClock } from '../support/move-lab.js';

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
