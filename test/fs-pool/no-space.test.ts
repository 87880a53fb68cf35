/**
 * Moves while somebody else takes all space, and within quotas: what has no space is left alone and
 * counted, no content is lost and no donor is left.
 */

import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { FinishOutcome, PrepareOutcome } from '../../src/domain/move-tasks.js';
import { KIB, MIB } from '../../src/domain/units.js';
import { makeFragmented, sha256 } from '../support/fragmented-files.js';
import { canMount, LOOP_FS_TYPES, type LoopFsType, LoopMount } from '../support/loop-mounts.js';
import { finish, prepare, readyMoves, settleAll, waitForClock } from '../support/move-lab.js';

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f'];
const FILE_BYTES = 4 * MIB;

describe.skipIf(!canMount).each(LOOP_FS_TYPES)('a full %s', (fsType: LoopFsType) => {
  it('keeps its files when another writer takes all space between prepare and finish', () => {
    using mount = new LoopMount(fsType);
    const before = makeWorn(mount);
    const moves = readyMoves(prepare(mount, NAMES));
    expect(moves).toHaveLength(NAMES.length);
    takeSpace(mount);
    const outcomes = finish(mount, moves);
    expectExplained(outcomes);
    expectKept(mount, before, moves, outcomes);
  });

  it('moves what it has space for, and keeps the rest, when space ends in the middle', () => {
    using mount = new LoopMount(fsType);
    const before = makeWorn(mount);
    takeSpace(mount);
    // Room for some of the donors. On Btrfs, where they share blocks, for some of the writes.
    rmSync(mount.path('taken-0'));
    execFileSync('sync', ['-f', mount.mountPath]);
    const prepared = prepare(mount, NAMES);
    const moves = readyMoves(prepared);
    const outcomes = finish(mount, moves);
    const all = [...prepared.filter(({ kind }) => kind !== 'ready'), ...outcomes];
    expectExplained(all);
    expect(all.some(({ kind }) => kind !== 'moved')).toBe(true);
    expectKept(mount, before, moves, outcomes);
  });
});

describe.skipIf(!canMount)('a quota of a subvolume on btrfs', () => {
  it('is kept, and so is a file that has no space within it', () => {
    using mount = new LoopMount('btrfs');
    execFileSync('btrfs', ['quota', 'enable', mount.mountPath]);
    execFileSync('btrfs', ['subvolume', 'create', mount.path('volume')], { stdio: 'pipe' });
    makeFragmented(mount, ['volume/a'], { sizeBytes: FILE_BYTES });
    execFileSync('sync', ['-f', mount.mountPath]);
    waitForClock();
    const before = sha256(mount.path('volume/a'));
    // The file and what lay between its pieces are there already.
    const limitKib = (2 * FILE_BYTES) / KIB + 512;
    execFileSync('btrfs', ['qgroup', 'limit', `${limitKib}K`, mount.path('volume')]);
    const prepared = prepare(mount, ['volume/a']);
    const moves = readyMoves(prepared);
    const outcomes = finish(mount, moves);
    expectExplained([...prepared.filter(({ kind }) => kind !== 'ready'), ...outcomes]);
    expect(donors(mount)).toEqual([]);
    mount.remount();
    expect(sha256(mount.path('volume/a'))).toBe(before);
  });
});

function makeWorn(mount: LoopMount): string[] {
  makeFragmented(mount, NAMES, { sizeBytes: FILE_BYTES, stepBytes: 64 * KIB });
  execFileSync('sync', ['-f', mount.mountPath]);
  waitForClock();
  return NAMES.map((name) => sha256(mount.path(name)));
}

/** Writes files until nothing is left; the first is as large as two and a half of the worn ones. */
function takeSpace(mount: LoopMount): void {
  const chunk = Buffer.alloc(MIB, 0xa5);
  const sizes = [2.5 * FILE_BYTES, Number.MAX_SAFE_INTEGER, 16 * KIB];
  for (const [index, sizeBytes] of sizes.entries()) {
    const stepBytes = Math.min(sizeBytes, chunk.length);
    let fd: number | null = null;
    try {
      fd = openSync(mount.path(`taken-${index}`), 'w');
      for (let at = 0; at < sizeBytes; at += stepBytes) writeSync(fd, chunk, 0, stepBytes, at);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOSPC') throw cause;
    } finally {
      if (fd !== null) closeSync(fd);
    }
    execFileSync('sync', ['-f', mount.mountPath]);
  }
}

function expectExplained(outcomes: readonly (PrepareOutcome | FinishOutcome)[]): void {
  for (const outcome of outcomes) {
    if (outcome.kind === 'skipped') expect(outcome.reason).toMatch(/^no-(space|better-place)$/);
    else expect(outcome).toMatchObject({ kind: 'moved', verification: 'verified' });
  }
}

function expectKept(
  mount: LoopMount,
  before: readonly string[],
  moves: ReturnType<typeof readyMoves>,
  outcomes: readonly FinishOutcome[],
): void {
  const open = moves.filter((_, index) => !outcomes[index]?.settled);
  expect(
    settleAll(
      mount,
      open.map(({ intent }) => intent),
    ).outcomes,
  ).toEqual(open.map(() => ({ kind: 'intact' })));
  expect(donors(mount)).toEqual([]);
  expect(NAMES.map((name) => sha256(mount.path(name)))).toEqual(before);
  mount.remount();
  expect(NAMES.map((name) => sha256(mount.path(name)))).toEqual(before);
}

function donors(mount: LoopMount): string[] {
  if (!existsSync(mount.path('.dynamicfs'))) return [];
  return readdirSync(mount.path('.dynamicfs'), { recursive: true, encoding: 'utf8' }).filter(
    (name) => !/^ag\d+$/.test(name),
  );
}
