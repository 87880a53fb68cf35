/**
 * Btrfs without verification: where there is ample space a move needs no donor, since Btrfs itself
 * keeps the old blocks until the file refers to the new ones.
 */

import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import type { MoveToFinish } from '../../src/domain/move-tasks.js';
import { GIB, KIB, MIB } from '../../src/domain/units.js';
import { finishMoves } from '../../workers/finish-moves.js';
import { canFault, FaultDisk, type FaultRule } from '../support/fault-disk.js';
import { fragmentCount, makeFragmented, sha256 } from '../support/fragmented-files.js';
import { canMount, LoopMount } from '../support/loop-mounts.js';
import {
  donorsOf,
  mountOf,
  prepare,
  readyMoves,
  settleAll,
  waitForClock,
} from '../support/move-lab.js';

const AMPLE_BYTES = 4 * GIB;
const NAMES = ['a', 'b'];

describe.skipIf(!canMount)('a move on Btrfs without verification', () => {
  it('makes no donor where all groups together would find whole places', () => {
    using mount = fragmented({ sizeBytes: AMPLE_BYTES }, 8 * MIB);
    const before = NAMES.map((name) => sha256(mount.path(name)));
    const moves = readyMoves(prepare(mount, NAMES, { verify: false }));
    expect(moves.map(({ intent }) => intent.donor)).toEqual([null, null]);
    expect(donorsOf(mount)).toEqual([]);

    expect(finishPlainly(mount, moves)).toMatchObject([{ kind: 'moved' }, { kind: 'moved' }]);
    expect(NAMES.map((name) => fragmentCount(mount.path(name)))).toEqual([1, 1]);
    mount.remount();
    expect(NAMES.map((name) => sha256(mount.path(name)))).toEqual(before);
  });

  it('keeps one where the place may be worse, and where the move is to be verified', () => {
    using narrow = fragmented({ sizeBytes: 512 * MIB }, MIB);
    const moves = readyMoves(prepare(narrow, NAMES, { verify: false }));
    expect(moves.map(({ intent }) => intent.donor === null)).toEqual([false, false]);
    using ample = fragmented({ sizeBytes: AMPLE_BYTES }, MIB);
    const verified = readyMoves(prepare(ample, NAMES));
    expect(verified.map(({ intent }) => intent.donor === null)).toEqual([false, false]);
  });

  it('also moves files without checksums, which could share nothing with a donor', () => {
    using mount = new LoopMount('btrfs', { sizeBytes: AMPLE_BYTES, mountOptions: ['nodatasum'] });
    makeFragmented(mount, NAMES, { sizeBytes: MIB, stepBytes: 64 * KIB });
    mount.remount();
    waitForClock();
    const before = NAMES.map((name) => sha256(mount.path(name)));
    const moves = readyMoves(prepare(mount, NAMES, { verify: false }));
    expect(finishPlainly(mount, moves)).toMatchObject([{ kind: 'moved' }, { kind: 'moved' }]);
    mount.remount();
    expect(NAMES.map((name) => sha256(mount.path(name)))).toEqual(before);
  });

  it('is settled as intact when the agent died before it was finished', () => {
    using mount = fragmented({ sizeBytes: AMPLE_BYTES }, MIB);
    const before = NAMES.map((name) => sha256(mount.path(name)));
    const moves = readyMoves(prepare(mount, NAMES, { verify: false }));
    const settled = settleAll(
      mount,
      moves.map(({ intent }) => intent),
    );
    expect(settled.outcomes).toEqual([{ kind: 'intact' }, { kind: 'intact' }]);
    expect(NAMES.map((name) => sha256(mount.path(name)))).toEqual(before);
  });
});

describe.skipIf(!canFault)('a disk that fails under it', () => {
  it('costs no content, whichever write fails', async () => {
    await using disk = await FaultDisk.start(AMPLE_BYTES);
    execFileSync('mkfs.btrfs', ['-qf', disk.imagePath], { stdio: 'pipe' });
    using mount = new LoopMount('btrfs', { imagePath: disk.imagePath });
    const rules: FaultRule[] = [1, 2, 3].flatMap((nth) => [
      { op: 'write', nth, count: 1, bytesMin: 64 * KIB },
      { op: 'write', nth, count: null },
    ]);
    const seen = new Set<string>();
    for (const [index, rule] of rules.entries()) {
      const names = NAMES.map((name) => `${name}-${index}`);
      makeFragmented(mount, names, { sizeBytes: 2 * MIB + 5, stepBytes: 64 * KIB });
      mount.remount();
      waitForClock();
      const before = names.map((name) => sha256(mount.path(name)));
      const moves = readyMoves(prepare(mount, names, { verify: false }));
      expect(moves.map(({ intent }) => intent.donor)).toEqual([null, null]);
      await disk.fail(rule);
      for (const outcome of finishPlainly(mount, moves)) seen.add(outcome.kind);
      expect(await disk.hitCount()).toBeGreaterThan(0);
      await disk.fail(null);
      mount.remount();
      const sums = names.map((name) => sha256(mount.path(name)));
      expect({ rule, sums }).toEqual({ rule, sums: before });
    }
    expect(seen).toContain('failed');
  });
});

function fragmented(options: { readonly sizeBytes: number }, sizeBytes: number): LoopMount {
  const mount = new LoopMount('btrfs', options);
  makeFragmented(mount, NAMES, { sizeBytes, stepBytes: 64 * KIB });
  mount.remount();
  waitForClock();
  return mount;
}

function finishPlainly(mount: LoopMount, moves: readonly MoveToFinish[]) {
  return finishMoves({ ...mountOf(mount), moves, verify: false, control: null });
}
