/** Trims where something else is in the way: quotas, a mount inside, an image in memory, an unmount. */

import { execFileSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { MIB } from '../../src/domain/units.js';
import { detectMount } from '../../src/kernel/mount-info.js';
import { canMount } from '../support/loop-mounts.js';
import { tempDirectory } from '../support/temp-directory.js';
import { TrimLab } from '../support/trim-lab.js';

let lab: TrimLab;
afterEach(() => lab?.remove());

function run(program: string, ...args: string[]): void {
  execFileSync(program, args, { stdio: 'pipe' });
}

describe.skipIf(!canMount)('a trim', () => {
  it('of Btrfs with quotas and another mount inside gives its space back and leaves that alone', async () => {
    lab = new TrimLab('btrfs');
    const { mountPath } = lab.mount;
    run('btrfs', 'quota', 'enable', mountPath);
    run('btrfs', 'qgroup', 'limit', '256M', mountPath);
    lab.writeFile('file', 96 * MIB);
    lab.writeFile('kept', 4 * MIB);
    const inside = lab.mount.path('inside');
    mkdirSync(inside);
    run('mount', '-t', 'tmpfs', 'none', inside);
    try {
      writeFileSync(join(inside, 'x'), 'of another file system');
      rmSync(lab.mount.path('file'));
      const report = await lab.trim();
      expect(report).toMatchObject({ failedCount: 0, refusedCount: 0 });
      expect(report.confirmedBytes).toBeGreaterThanOrEqual(96 * MIB);
      expect(statSync(join(inside, 'x')).size).toBe(22);
    } finally {
      run('umount', inside);
    }
  });

  it('of an image on tmpfs, which shows no map of it, is confirmed by its size', async () => {
    const memory = tempDirectory('tmpfs');
    run('mount', '-t', 'tmpfs', '-o', 'size=400M', 'none', memory);
    try {
      const imagePath = join(memory, 'image');
      const fd = openSync(imagePath, 'w');
      ftruncateSync(fd, 128 * MIB);
      closeSync(fd);
      run('mkfs.ext4', '-qF', '-b', '4096', imagePath);
      lab = new TrimLab('ext4', { imagePath });
      lab.writeFile('file', 48 * MIB);
      rmSync(lab.mount.path('file'));
      const report = await lab.trim();
      expect(report).toMatchObject({ failedCount: 0, refusedCount: 0 });
      expect(report.confirmedBytes).toBeGreaterThanOrEqual(48 * MIB);
      lab.mount.remove();
    } finally {
      lab?.mount.remove();
      run('umount', memory);
    }
  });

  it('that loses its mount between two windows says so, and goes on once it is back', async () => {
    lab = new TrimLab('ext4');
    lab.writeFile('file', 300 * MIB);
    rmSync(lab.mount.path('file'));
    let seenCount = 0;
    const cutOff = await lab.trim({
      onWindow: ({ outcome, cursorBytes }) => {
        seenCount += 1;
        if (seenCount > 1) expect(outcome).toMatchObject({ kind: 'failed' });
        else {
          lab.mount.unmount();
          lab.cursorBytes = cursorBytes;
        }
      },
    });
    expect(cutOff.trimmedCount).toBe(1);
    expect(cutOff.failedCount).toBe(cutOff.windowCount - 1);
    expect(cutOff.firstError).toMatchObject({ code: 'ERR_TARGET_NOT_FOUND' });
    lab.mount.mount();
    const rest = await lab.trim({ mount: detectMount(lab.mount.mountPath) });
    expect(rest).toMatchObject({ failedCount: 0, refusedCount: 0 });
    expect(lab.untrimmedBytes()).toBe(0);
  });
});
