/** Moves on an XFS that can exchange ranges, which only newer programs can make. */

import { execFileSync } from 'node:child_process';
import {
  closeSync,
  fsyncSync,
  openSync,
  readSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { crc32c } from '@node-rs/crc32';
import { describe, expect, it } from 'vitest';
import { KIB, MIB } from '../../src/domain/units.js';
import { fragmentCount, makeFragmented, sha256 } from '../support/fragmented-files.js';
import { canMount, LoopMount } from '../support/loop-mounts.js';
import { finish, move, prepare, readyMoves, waitForClock } from '../support/move-lab.js';
import { tempDirectory } from '../support/temp-directory.js';

const SUPERBLOCK_BYTES = 512;
/** Source: linux/fs/xfs/libxfs/xfs_format.h, struct xfs_dsb. */
const FEATURES_AT_BYTES = 216;
const CRC_AT_BYTES = 224;
const EXCHANGE_RANGE = 0x40;

function makeImage(): string {
  const path = join(tempDirectory('exchange'), 'disk.img');
  writeFileSync(path, '');
  truncateSync(path, 320 * MIB);
  execFileSync('mkfs.xfs', ['-q', '-f', path]);
  const fd = openSync(path, 'r+');
  const superblock = Buffer.alloc(SUPERBLOCK_BYTES);
  readSync(fd, superblock, 0, SUPERBLOCK_BYTES, 0);
  const features = superblock.readUInt32BE(FEATURES_AT_BYTES) | EXCHANGE_RANGE;
  superblock.writeUInt32BE(features, FEATURES_AT_BYTES);
  superblock.writeUInt32LE(0, CRC_AT_BYTES);
  superblock.writeUInt32LE(crc32c(superblock), CRC_AT_BYTES);
  writeSync(fd, superblock, 0, SUPERBLOCK_BYTES, 0);
  fsyncSync(fd);
  closeSync(fd);
  return path;
}

describe.skipIf(!canMount)('an XFS that can exchange ranges', () => {
  it('has ranges of files exchanged, and none that was written to meanwhile', () => {
    using mount = new LoopMount('xfs', { imagePath: makeImage() });
    const sizeBytes = 200 * KIB + 77;
    makeFragmented(mount, ['a', 'b', 'late'], { sizeBytes });
    waitForClock();
    const before = ['a', 'b'].map((name) => sha256(mount.path(name)));
    const late = readyMoves(prepare(mount, ['late']));
    expect(late).toMatchObject([{ intent: { method: 'commit-range' } }]);
    expect(move(mount, ['a', 'b'])).toMatchObject([
      { kind: 'moved', verification: 'verified', fragmentsAfter: 1 },
      { kind: 'moved', verification: 'verified', fragmentsAfter: 1 },
    ]);
    writeFileSync(mount.path('late'), 'x', { flag: 'r+' });
    const content = sha256(mount.path('late'));
    expect(finish(mount, late)).toEqual([{ kind: 'skipped', settled: true, reason: 'changed' }]);
    mount.remount();
    expect(['a', 'b'].map((name) => sha256(mount.path(name)))).toEqual(before);
    expect(sha256(mount.path('late'))).toBe(content);
  });

  it('moves a large file with a hole', () => {
    using mount = new LoopMount('xfs', { imagePath: makeImage() });
    makeFragmented(mount, ['large'], { sizeBytes: 20 * MIB + 5, stepBytes: 128 * KIB });
    execFileSync('fallocate', ['--punch-hole', '-o', '1MiB', '-l', '64KiB', mount.path('large')]);
    waitForClock();
    const content = sha256(mount.path('large'));
    const [outcome] = move(mount, ['large']);
    expect(outcome).toMatchObject({ kind: 'moved', verification: 'verified' });
    expect(fragmentCount(mount.path('large'))).toBeLessThan(5);
    mount.remount();
    expect(sha256(mount.path('large'))).toBe(content);
  });
});
