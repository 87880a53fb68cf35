/** Moving files on mounted file systems: what becomes contiguous, and what stays as it was. */

import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  statSync,
  truncateSync,
  utimesSync,
  writeSync,
} from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MOVE_RATE, MOVE_STOP, makeMoveControl } from '../../src/domain/move-tasks.js';
import { KIB, MIB } from '../../src/domain/units.js';
import { fragmentCount, makeFragmented, sha256 } from '../support/fragmented-files.js';
import { canMount, LOOP_FS_TYPES, type LoopFsType, LoopMount } from '../support/loop-mounts.js';
import { finish, move, prepare, readyMoves, settleAll, waitForClock } from '../support/move-lab.js';

const NAMES = ['a', 'b', 'c', 'd'];
/** A limit that holds up nothing. */
const FAST_KIB_PER_SEC = 4 * 1024 * 1024;

describe.skipIf(!canMount).each(LOOP_FS_TYPES)('moving files on %s', (fsType: LoopFsType) => {
  let mount: LoopMount;
  beforeAll(() => {
    mount = new LoopMount(fsType);
  });
  afterAll(() => mount.remove());

  function leftOver(): string[] {
    if (!existsSync(mount.path('.dynamicfs'))) return [];
    return readdirSync(mount.path('.dynamicfs'), { recursive: true, encoding: 'utf8' }).filter(
      (name) => !/^ag\d+$/.test(name),
    );
  }

  it('makes fragmented files contiguous and reads back what they had', () => {
    const sizeBytes = 200 * KIB + 123;
    makeFragmented(mount, NAMES, { sizeBytes });
    waitForClock();
    const before = NAMES.map((name) => sha256(mount.path(name)));
    expect(NAMES.map((name) => fragmentCount(mount.path(name)))).toSatisfy((counts: number[]) =>
      counts.every((count) => count > 10),
    );
    const outcomes = move(mount, NAMES);
    expect(outcomes).toHaveLength(NAMES.length);
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ kind: 'moved', verification: 'verified', settled: true });
      expect(outcome).toMatchObject({ fragmentsAfter: 1, resumeBytes: null });
    }
    expect(NAMES.map((name) => sha256(mount.path(name)))).toEqual(before);
    expect(leftOver()).toEqual([]);
    mount.remount();
    expect(NAMES.map((name) => sha256(mount.path(name)))).toEqual(before);
    expect(NAMES.map((name) => fragmentCount(mount.path(name)))).toEqual([1, 1, 1, 1]);
  });

  it('keeps owner, mode, times, extended attributes, holes and unwritten ranges', () => {
    makeFragmented(mount, ['kept'], { sizeBytes: 160 * KIB });
    const path = mount.path('kept');
    chownSync(path, 1234, 4321);
    chmodSync(path, 0o640);
    execFileSync('setfattr', ['-n', 'user.colour', '-v', 'blue', path]);
    execFileSync('fallocate', ['--punch-hole', '-o', '64KiB', '-l', '16KiB', path]);
    execFileSync('fallocate', ['-o', '192KiB', '-l', '32KiB', path]);
    utimesSync(path, 1_000_000_000, 1_100_000_000);
    execFileSync('sync', [path]);
    waitForClock();
    const state = () => {
      const status = statSync(path, { bigint: true });
      const { uid, gid, mode, size, mtimeNs, ctimeNs, atimeNs } = status;
      const attributes = execFileSync('getfattr', ['-d', '--absolute-names', path], {
        encoding: 'utf8',
      });
      return {
        uid,
        gid,
        mode,
        size,
        mtimeNs,
        ctimeNs,
        atimeNs,
        attributes,
        map: shape(path),
      };
    };
    const before = state();
    const content = sha256(path);
    utimesSync(path, 1_000_000_000, 1_100_000_000);
    waitForClock();
    const { ctimeNs: _, ...kept } = before;
    const changedAt = state().ctimeNs;
    const [outcome] = move(mount, ['kept']);
    expect(outcome).toMatchObject({ kind: 'moved', verification: 'verified' });
    expect(state()).toMatchObject({ ...kept, ctimeNs: changedAt });
    expect(sha256(path)).toBe(content);
  });

  it('leaves contiguous files alone, and says so', () => {
    makeFragmented(mount, ['once'], { sizeBytes: 64 * KIB });
    waitForClock();
    move(mount, ['once']);
    waitForClock();
    expect(prepare(mount, ['once'])).toEqual([
      { kind: 'skipped', reason: 'contiguous', fragmentCount: 1 },
    ]);
  });

  it('moves nothing when the file was written to after it was prepared', () => {
    makeFragmented(mount, ['late'], { sizeBytes: 64 * KIB });
    waitForClock();
    const moves = readyMoves(prepare(mount, ['late']));
    const fd = openSync(mount.path('late'), 'r+');
    writeSync(fd, 'changed', 0);
    fsyncSync(fd);
    closeSync(fd);
    const content = sha256(mount.path('late'));
    expect(finish(mount, moves)).toEqual([{ kind: 'skipped', settled: true, reason: 'changed' }]);
    expect(sha256(mount.path('late'))).toBe(content);
    expect(leftOver()).toEqual([]);
  });

  it('moves nothing when the file was truncated after it was prepared', () => {
    makeFragmented(mount, ['cut'], { sizeBytes: 64 * KIB });
    waitForClock();
    const moves = readyMoves(prepare(mount, ['cut']));
    truncateSync(mount.path('cut'), 10_000);
    expect(finish(mount, moves)).toEqual([{ kind: 'skipped', settled: true, reason: 'changed' }]);
    expect(statSync(mount.path('cut')).size).toBe(10_000);
  });

  it('settles intents that were never finished, and deletes their donors', () => {
    makeFragmented(mount, ['open'], { sizeBytes: 64 * KIB });
    waitForClock();
    const content = sha256(mount.path('open'));
    const intents = readyMoves(prepare(mount, ['open'])).map(({ intent }) => intent);
    expect(intents).toHaveLength(1);
    expect(settleAll(mount, intents)).toMatchObject({ outcomes: [{ kind: 'intact' }] });
    expect(sha256(mount.path('open'))).toBe(content);
    expect(leftOver()).toEqual([]);
  });

  it('stops before the next file, and leaves nothing behind', () => {
    makeFragmented(mount, ['stopped'], { sizeBytes: 64 * KIB });
    waitForClock();
    const before = fragmentCount(mount.path('stopped'));
    const moves = readyMoves(prepare(mount, ['stopped']));
    const control = makeMoveControl();
    Atomics.store(control, MOVE_STOP, 1);
    expect(prepare(mount, ['stopped'], { control })).toEqual([{ kind: 'not-begun' }]);
    expect(finish(mount, moves, control)).toEqual([{ kind: 'not-begun', settled: true }]);
    expect(fragmentCount(mount.path('stopped'))).toBe(before);
    expect(leftOver()).toEqual([]);
  });

  it('keeps to the rate that it is given', () => {
    makeFragmented(mount, ['slow'], { sizeBytes: 256 * KIB });
    waitForClock();
    const control = makeMoveControl();
    Atomics.store(control, MOVE_RATE, 2048);
    const startedAt = performance.now();
    expect(move(mount, ['slow'], { control })).toMatchObject([{ kind: 'moved' }]);
    // Read and moved or written, each at 2 MiB a second.
    expect(performance.now() - startedAt).toBeGreaterThan(200);
  });

  it('moves without verification when asked, and says so', () => {
    makeFragmented(mount, ['trusted'], { sizeBytes: 64 * KIB });
    waitForClock();
    const content = sha256(mount.path('trusted'));
    expect(move(mount, ['trusted'], { verify: false })).toMatchObject([
      { kind: 'moved', verification: 'not-asked', fragmentsAfter: 1 },
    ]);
    mount.remount();
    expect(sha256(mount.path('trusted'))).toBe(content);
    expect(leftOver()).toEqual([]);
  });

  it('moves a large file piece by piece at a limited pace', () => {
    using roomy = new LoopMount(fsType, { sizeBytes: 1024 * MIB });
    const sizeBytes = 140 * MIB;
    makeFragmented(roomy, ['pieces'], { sizeBytes, stepBytes: MIB });
    waitForClock();
    const content = sha256(roomy.path('pieces'));
    // At full speed it moves at once: test/fs-pool/large-file.test.ts.
    const control = makeMoveControl();
    Atomics.store(control, MOVE_RATE, FAST_KIB_PER_SEC);
    let startBytes: number | null = 0;
    const ends: number[] = [];
    while (startBytes !== null) {
      const [outcome] = move(roomy, ['pieces'], { startBytes, control });
      if (outcome?.kind !== 'moved') throw new Error(JSON.stringify(outcome));
      expect(outcome.verification).toBe('verified');
      startBytes = outcome.resumeBytes;
      ends.push(startBytes ?? sizeBytes);
      waitForClock();
    }
    expect(ends).toEqual([128 * MIB, sizeBytes]);
    expect(fragmentCount(roomy.path('pieces'))).toBeLessThan(10);
    roomy.remount();
    expect(sha256(roomy.path('pieces'))).toBe(content);
  });

  it('moves a file of 40 MiB in windows and keeps each byte', () => {
    makeFragmented(mount, ['large'], { sizeBytes: 40 * MIB, stepBytes: 256 * KIB });
    waitForClock();
    const content = sha256(mount.path('large'));
    const before = fragmentCount(mount.path('large'));
    const [outcome] = move(mount, ['large']);
    expect(outcome).toMatchObject({ kind: 'moved', verification: 'verified' });
    expect(fragmentCount(mount.path('large'))).toBeLessThan(Math.min(before, 4));
    mount.remount();
    expect(sha256(mount.path('large'))).toBe(content);
  });
});

/** Where there are data, unwritten ranges and holes, without saying where they lie on the disk. */
function shape(path: string): string[] {
  const text = execFileSync('filefrag', ['-v', path], { encoding: 'utf8' });
  const blocks: string[] = [];
  for (const line of text.split('\n')) {
    const match = /^ *\d+: +(\d+)\.\. +(\d+):.*?: +\d+:(.*)$/.exec(line);
    if (!match) continue;
    const kind = match[3]?.includes('unwritten') ? 'unwritten' : 'data';
    for (let at = Number(match[1]); at <= Number(match[2]); at += 1) blocks.push(`${at} ${kind}`);
  }
  return blocks;
}
