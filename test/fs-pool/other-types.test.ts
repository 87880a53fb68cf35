/** File systems of types that are not maintained: analysed through FIEMAP, and refused with a reason. */

import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CliNode } from '../support/cli-run.js';
import { fragmentCount } from '../support/fragmented-files.js';
import { fsNode } from '../support/fs-lab.js';
import { attachLoop, canMount, run } from '../support/loop-mounts.js';
import { BLOCK_BYTES, writeBlocksAt, writeBytes } from '../support/scan-lab.js';
import { tempDirectory } from '../support/temp-directory.js';

const SIZE_BYTES = 64 * 1024 * 1024;
const BLOCKS = 12;

const node = new CliNode();
let mountPath: string;
let device: string;

describe.skipIf(!canMount)('a mounted ext2', () => {
  beforeAll(() => {
    const directory = tempDirectory('ext2');
    const imagePath = join(directory, 'disk.img');
    mountPath = join(directory, 'mount');
    mkdirSync(mountPath);
    const fd = openSync(imagePath, 'w');
    ftruncateSync(fd, SIZE_BYTES);
    closeSync(fd);
    run('mkfs.ext2', ['-q', '-F', '-b', String(BLOCK_BYTES), imagePath]);
    device = attachLoop(imagePath);
    // Each block is allocated when it is written, so that the order of writing is that of the disk.
    run('mount', ['-t', 'ext2', '-o', 'sync', device, mountPath]);
    // Of one block: where longer ones lie depends on the number of the process that writes them.
    writeBytes(join(mountPath, 'whole'), BLOCK_BYTES);
    const backwards = Array.from({ length: BLOCKS }, (_, n) => BLOCKS - 1 - n);
    for (const name of ['worn-0', 'worn-1']) writeBlocksAt(join(mountPath, name), backwards);
    writeBytes(join(mountPath, 'empty'), 0);
  });
  afterAll(() => {
    run('umount', [mountPath]);
    run('losetup', ['--detach', device]);
  });

  it('is analysed by a walk, which counts what filefrag counts', async () => {
    const names = ['whole', 'worn-0', 'worn-1'];
    const counts = names.map((name) => countOfFilefrag(join(mountPath, name)));
    expect(names.map((name) => fragmentCount(join(mountPath, name)))).toEqual(counts);
    expect(counts[0]).toBe(1);
    for (const count of counts.slice(1)) expect(count).toBeGreaterThan(1);

    const analysis = fsNode(await node.json('defrag analyze', ['--pool', mountPath]));
    expect(analysis).toMatchObject({
      fsType: 'ext2',
      poolId: null,
      method: 'fiemap-walk',
      incomplete: null,
      extentCount: 4,
      fragmentedExtentCount: 2,
      reclaimableBytes: null,
    });
    const worst = analysis.worstFiles.map(({ path, fragmentCount: n }) => [path, n]);
    expect(Object.fromEntries(worst)).toMatchObject({ 'worn-0': counts[1], 'worn-1': counts[2] });
    expect(await node.text('defrag', 'analyze', '--pool', mountPath)).toContain('ext2 on ');
  });

  it.each([
    ['init', '--filesystem'],
    ['defrag', 'start'],
    ['defrag', 'start', '--dry-run'],
  ])('refuses %s %s, and says what can be done', async (...command) => {
    const args = command.filter((word) => word !== undefined);
    const refused = await node.failure([...args, '--pool', mountPath]);
    expect(refused).toMatchObject({ code: 'ERR_UNSUPPORTED', exitCode: 12 });
    expect(refused.message).toMatch(/ is (a mounted )?ext2, /);
    expect(refused.nextStep).toMatch(/ext4, XFS or Btrfs/);
  });
});

function countOfFilefrag(path: string): number {
  const said = execFileSync('filefrag', [path], { encoding: 'utf8' });
  return Number(/: (\d+) extents? found/.exec(said)?.[1]);
}
