/**
 * What verification is for: a disk that takes the data of a move and keeps one bit of it wrong.
 *
 * The same bit is flipped in both: with verification the move fails and the file is as it was; without,
 * the run says that it moved, and the file is damaged. So it is verification that finds it.
 */

import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import type { FinishOutcome } from '../../src/domain/move-tasks.js';
import { KIB, MIB } from '../../src/domain/units.js';
import { finishMoves } from '../../workers/finish-moves.js';
import { canFault, FaultDisk } from '../support/fault-disk.js';
import { makeFragmented, sha256 } from '../support/fragmented-files.js';
import { LOOP_FS_TYPES, LoopMount } from '../support/loop-mounts.js';
import { mountOf, prepare, readyMoves, settleAll, waitForClock } from '../support/move-lab.js';

const SIZE_BYTES = { ext4: 64 * MIB, xfs: 320 * MIB, btrfs: 160 * MIB };
const MKFS = {
  ext4: ['mkfs.ext4', '-qF', '-b', '4096'],
  xfs: ['mkfs.xfs', '-qf'],
  btrfs: ['mkfs.btrfs', '-qf'],
};

describe.skipIf(!canFault).each(LOOP_FS_TYPES)('a bit flipped on the way to a %s', (fsType) => {
  it('is found with verification and put right, and stays unseen without', async () => {
    await using disk = await FaultDisk.start(SIZE_BYTES[fsType]);
    const [program = '', ...args] = MKFS[fsType];
    execFileSync(program, [...args, disk.imagePath], { stdio: 'pipe' });
    using mount = new LoopMount(fsType, { imagePath: disk.imagePath });

    const verified = await moveOverFlip(mount, disk, { name: 'careful', verify: true });
    expect(verified.outcome).toMatchObject({ kind: 'failed' });
    expect(verified.after).toBe(verified.before);

    const trusted = await moveOverFlip(mount, disk, { name: 'trusting', verify: false });
    expect(trusted.outcome).toMatchObject({ kind: 'moved', verification: 'not-asked' });
    expect(trusted.after).not.toBe(trusted.before);
  });
});

async function moveOverFlip(
  mount: LoopMount,
  disk: FaultDisk,
  { name, verify }: { readonly name: string; readonly verify: boolean },
): Promise<{ outcome: FinishOutcome | undefined; before: string; after: string | null }> {
  makeFragmented(mount, [name], { sizeBytes: 256 * KIB });
  mount.remount();
  waitForClock();
  const before = sha256(mount.path(name));
  mount.remount();
  // Of this size are only the data: on XFS the copy that is prepared, elsewhere the move itself.
  await disk.fail({ op: 'write', nth: 1, count: 1, flip: true, bytesMin: 64 * KIB });
  const moves = readyMoves(prepare(mount, [name], { verify }));
  const outcomes = finishMoves({ ...mountOf(mount), moves, verify, control: null });
  expect(await disk.hitCount()).toBe(1);
  await disk.fail(null);
  const open = moves.flatMap(({ intent }, at) => (outcomes[at]?.settled ? [] : [intent]));
  settleAll(mount, open);
  mount.remount();
  return { outcome: outcomes[0], before, after: contentOf(mount, name) };
}

/** Null where Btrfs says by its own checksum that it is not what was written. */
function contentOf(mount: LoopMount, name: string): string | null {
  try {
    return sha256(mount.path(name));
  } catch {
    return null;
  }
}
