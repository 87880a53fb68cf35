/**
 * Moves on a disk that fails: one request, or all from there on, and a disk that takes data and
 * gives back something else. The content must be right once the disk is well again.
 */

import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { MaintenanceError } from '../../src/domain/errors.js';
import type { FinishOutcome, MoveIntent, MoveToFinish } from '../../src/domain/move-tasks.js';
import { GIB, KIB, MIB } from '../../src/domain/units.js';
import { finishMoves } from '../../workers/finish-moves.js';
import { prepareMoves } from '../../workers/prepare-moves.js';
import { canFault, FaultDisk, type FaultRule } from '../support/fault-disk.js';
import { makeFragmented, sha256 } from '../support/fragmented-files.js';
import { LOOP_FS_TYPES, type LoopFsType, LoopMount } from '../support/loop-mounts.js';
import {
  donorsOf,
  mountOf,
  prepareTask,
  readyMoves,
  settleAll,
  waitForClock,
} from '../support/move-lab.js';

const SIZE_BYTES = { ext4: 64 * MIB, xfs: 320 * MIB, btrfs: 160 * MIB };
const MKFS = {
  ext4: ['mkfs.ext4', '-qF', '-b', '4096'],
  xfs: ['mkfs.xfs', '-qf'],
  btrfs: ['mkfs.btrfs', '-qf'],
};
const NAMES = ['a', 'b'];
const WRITES = [1, 2, 3, 4, 6, 9];

describe.skipIf(!canFault).each(LOOP_FS_TYPES)('a failing disk under %s', (fsType: LoopFsType) => {
  const rules: FaultRule[] = [
    ...WRITES.map((nth) => ({ op: 'write', nth, count: 1 }) as const),
    ...[1, 3].map((nth) => ({ op: 'write', nth, count: null }) as const),
    ...[1, 2].map((nth) => ({ op: 'read', nth, count: 1 }) as const),
    { op: 'flush', nth: 1, count: 1 },
    ...[1, 2].map(
      (nth) => ({ op: 'write', nth, count: 1, flip: true, bytesMin: 64 * KIB }) as const,
    ),
  ];

  it('loses nothing, whichever request fails', async () => {
    await using disk = await FaultDisk.start(SIZE_BYTES[fsType]);
    const [program = '', ...args] = MKFS[fsType];
    execFileSync(program, [...args, disk.imagePath], { stdio: 'pipe' });
    using mount = new LoopMount(fsType, { imagePath: disk.imagePath });
    let hitCount = 0;
    const seen = new Set<string>();
    for (const [index, rule] of rules.entries()) {
      const names = NAMES.map((name) => `${name}-${index}`);
      makeFragmented(mount, names, { sizeBytes: 128 * KIB + 5 });
      execFileSync('sync', ['-f', mount.mountPath]);
      waitForClock();
      const before = names.map((name) => sha256(mount.path(name)));

      const moved = await moveWithFault(mount, disk, names, rule);
      if (moved.hitCount > 0) hitCount += 1;
      for (const outcome of moved.outcomes) seen.add(outcome.kind);
      const open = moved.intents.filter((_, at) => !moved.outcomes[at]?.settled);
      mount.remount();
      const settled = settleAll(mount, open);
      expect(settled.outcomes.filter(({ kind }) => kind === 'failed')).toEqual([]);
      execFileSync('sync', ['-f', mount.mountPath]);
      mount.remount();
      const sums = names.map((name) => sha256(mount.path(name)));
      expect({ rule, sums }).toEqual({ rule, sums: before });
    }
    // Where no request was met, nothing was tested.
    expect(hitCount).toBeGreaterThan(rules.length / 3);
    expect(seen).toContain('failed');
    expect(seen).toContain('moved');
  }, 180_000);
});

describe.skipIf(!canFault)('a disk that stops giving data between two windows of Btrfs', () => {
  it('leaves a file of which the windows before were written and looked at', async () => {
    await using disk = await FaultDisk.start(GIB);
    execFileSync('mkfs.btrfs', ['-qf', disk.imagePath], { stdio: 'pipe' });
    using mount = new LoopMount('btrfs', { imagePath: disk.imagePath });
    for (const verify of [true, false]) {
      const name = verify ? 'verified' : 'plain';
      makeFragmented(mount, [name], { sizeBytes: 64 * MIB, stepBytes: 64 * KIB });
      mount.remount();
      waitForClock();
      const before = sha256(mount.path(name));
      const moves = readyMoves(prepareMoves(prepareTask(mount, [name], { verify })));
      mount.remount();
      // In the second window of 16 MiB, read in requests of 64 KiB. A call that did a part tells no error.
      await disk.fail({ op: 'read', nth: 340, count: null });
      const [outcome] = finishMoves({ ...mountOf(mount), moves, verify, control: null });
      expect(await disk.hitCount()).toBeGreaterThan(0);
      await disk.fail(null);
      // What could not be read back stays open, and its old blocks are kept.
      expect(outcome).toMatchObject({ kind: 'failed', settled: !verify, rolledBack: false });
      mount.remount();
      const open = moves.map(({ intent }) => intent);
      if (verify) expect(settleAll(mount, open).outcomes).toEqual([{ kind: 'intact' }]);
      expect(sha256(mount.path(name))).toBe(before);
      expect(donorsOf(mount)).toEqual([]);
    }
  });
});

describe.skipIf(!canFault)('a disk that stops giving data of a file on ext4', () => {
  it('fails the file, also where what was asked of it ahead was not waited for', async () => {
    await using disk = await FaultDisk.start(512 * MIB);
    execFileSync('mkfs.ext4', ['-qF', '-b', '4096', disk.imagePath], { stdio: 'pipe' });
    using mount = new LoopMount('ext4', { imagePath: disk.imagePath });
    makeFragmented(mount, ['plain'], { sizeBytes: 24 * MIB, stepBytes: 64 * KIB });
    mount.remount();
    waitForClock();
    const before = sha256(mount.path('plain'));
    mount.remount();
    // In the midst of a window of 16 MiB, read in requests of 64 KiB.
    await disk.fail({ op: 'read', nth: 150, count: null });
    const moves = readyMoves(prepareMoves(prepareTask(mount, ['plain'], { verify: false })));
    expect(moves).toHaveLength(1);
    const [outcome] = finishMoves({ ...mountOf(mount), moves, verify: false, control: null });
    await disk.fail(null);
    expect(outcome).toMatchObject({
      kind: 'failed',
      error: { details: { errnoName: 'EIO' } },
      settled: true,
      rolledBack: false,
    });
    mount.remount();
    expect(sha256(mount.path('plain'))).toBe(before);
    expect(donorsOf(mount)).toEqual([]);
  });
});

async function moveWithFault(
  mount: LoopMount,
  disk: FaultDisk,
  names: readonly string[],
  rule: FaultRule,
): Promise<{ intents: MoveIntent[]; outcomes: FinishOutcome[]; hitCount: number }> {
  const task = prepareTask(mount, names);
  const place = mountOf(mount);
  // Prepared on a sound disk for all but reads: it is the move that must survive.
  if (rule.op === 'read') await disk.fail(rule);
  let moves: MoveToFinish[] = [];
  let outcomes: FinishOutcome[] = [];
  let hitCount = 0;
  try {
    moves = readyMoves(prepareMoves(task));
    if (rule.op !== 'read') await disk.fail(rule);
    outcomes = finishMoves({ ...place, moves, verify: true, control: null });
  } catch (cause) {
    // A file system that shut itself down: its intents stay open.
    if (!(cause instanceof MaintenanceError)) throw cause;
  } finally {
    hitCount = await disk.hitCount();
    await disk.fail(null);
  }
  return { intents: moves.map(({ intent }) => intent), outcomes, hitCount };
}
