/** Trims of real file systems on loop devices; what they free is seen from outside, in the image. */

import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { makeMoveControl } from '../../src/domain/move-tasks.js';
import { MIB } from '../../src/domain/units.js';
import { detectMount } from '../../src/kernel/mount-info.js';
import { forecastMount } from '../../src/pool/fs-pool/trim-mount.js';
import { canMount, LOOP_FS_TYPES } from '../support/loop-mounts.js';
import { TrimLab } from '../support/trim-lab.js';

let lab: TrimLab;
afterEach(() => lab?.remove());

describe.skipIf(!canMount).each(LOOP_FS_TYPES)('a trim of %s', (fsType) => {
  it('gives freed space back and leaves every file as it is', async () => {
    lab = new TrimLab(fsType);
    for (let index = 0; index < 8; index += 1) lab.writeFile(`file-${index}`, 16 * MIB);
    for (let index = 0; index < 8; index += 2) rmSync(lab.mount.path(`file-${index}`));
    const manifest = lab.manifest();
    const before = lab.imageBytes();

    const report = await lab.trim();

    expect(report).toMatchObject({ failedCount: 0, refusedCount: 0, firstError: null });
    const shrunkBytes = before - lab.imageBytes();
    expect(shrunkBytes).toBeGreaterThanOrEqual(64 * MIB);
    expect(report.confirmedBytes).toBeGreaterThanOrEqual(64 * MIB);
    expect(report.confirmedBytes).toBeLessThanOrEqual(shrunkBytes + MIB);
    expect(report.deviceDiscardedBytes).toBeGreaterThanOrEqual(64 * MIB);
    expect(lab.untrimmedBytes()).toBeLessThanOrEqual(lab.toleratedBytes);
    lab.mount.remount(fsType === 'btrfs' ? ['nodiscard'] : []);
    expect(lab.manifest()).toEqual(manifest);
  });

  it('frees nothing a second time, and asks for nothing where it can know that', async () => {
    lab = new TrimLab(fsType);
    lab.writeFile('file', 64 * MIB);
    rmSync(lab.mount.path('file'));
    await lab.trim();
    const after = lab.imageBytes();

    const report = await lab.trim();

    expect(lab.imageBytes()).toBe(after);
    expect(report.deviceDiscardedBytes).toBe(0);
    if (fsType === 'ext4') expect(report.requestedBytes).toBe(0);
    else expect(report).toMatchObject({ trimmedCount: 0 });
  });

  it('trims again after a remount: then nobody knows any more', async () => {
    lab = new TrimLab(fsType);
    lab.writeFile('file', 64 * MIB);
    rmSync(lab.mount.path('file'));
    await lab.trim();
    lab.mount.remount(fsType === 'btrfs' ? ['nodiscard'] : []);
    const report = await lab.trim();
    expect(report.trimmedCount).toBeGreaterThan(0);
    expect(report.deviceDiscardedBytes).toBeGreaterThan(64 * MIB);
    expect(report).toMatchObject({ refusedCount: 0, failedCount: 0 });
  });

  it('forecasts what it will ask for, and nothing once it knows that all is trimmed', async () => {
    lab = new TrimLab(fsType);
    lab.writeFile('file', 64 * MIB);
    rmSync(lab.mount.path('file'));
    const forecast = () =>
      forecastMount({
        workers: lab.workers,
        mount: detectMount(lab.mount.mountPath),
        remembered: lab.remembered,
        minLengthBytes: 0,
        windowBytes: 128 * MIB,
      });
    const before = await forecast();
    expect(before).toMatchObject({ isKnown: true });
    expect(before.requestBytes).toBeGreaterThan(300 * MIB);
    expect(before.rangeCount).toBeGreaterThan(0);
    const report = await lab.trim();
    // XFS counts whole ranges, and what Btrfs has in no chunk shifts with its first write.
    expect(report.deviceDiscardedBytes / before.requestBytes).toBeGreaterThan(0.8);
    expect(report.deviceDiscardedBytes / before.requestBytes).toBeLessThan(1.2);
    const after = await forecast();
    if (fsType === 'ext4') expect(after.requestBytes).toBeGreaterThan(0);
    else expect(after).toMatchObject({ requestBytes: 0, windowCount: 0 });
  });

  it('goes on after a stop where it was', async () => {
    lab = new TrimLab(fsType);
    lab.writeFile('file', 200 * MIB);
    rmSync(lab.mount.path('file'));
    const before = lab.imageBytes();
    const stopFlag = makeMoveControl();
    const windowBytes = 64 * MIB;
    let first: number | null = null;
    const stopped = await lab.trim({
      stopFlag,
      windowBytes,
      onWindow: ({ cursorBytes }) => {
        first = cursorBytes;
        Atomics.store(stopFlag, 0, 1);
      },
    });
    expect(stopped).toMatchObject({ isStopped: true });
    lab.cursorBytes = first;

    const rest = await lab.trim({ windowBytes });
    expect(rest).toMatchObject({ isStopped: false, failedCount: 0 });
    expect(lab.steps[0]?.planned.window.startBytes).toBe(first);
    expect(lab.cursorBytes).toBe(null);
    expect(before - lab.imageBytes()).toBeGreaterThanOrEqual(200 * MIB);
  });

  it('asks nothing of a mount that is read-only', async () => {
    lab = new TrimLab(fsType);
    execFileSync('mount', ['-o', 'remount,ro', lab.mount.mountPath]);
    await expect(lab.trim()).rejects.toMatchObject({ code: 'ERR_PERMISSION' });
  });

  it('does not trim what was mounted elsewhere in the meantime', async () => {
    lab = new TrimLab(fsType);
    const mount = detectMount(lab.mount.mountPath);
    lab.mount.unmount();
    try {
      await expect(lab.trim({ mount })).rejects.toMatchObject({ code: 'ERR_TARGET_NOT_FOUND' });
    } finally {
      lab.mount.mount();
    }
  });
});

describe.skipIf(!canMount)('a trim of ext4 with blocks of 1 KiB', () => {
  it('asks for whole groups, so that the kernel knows them the second time', async () => {
    lab = new TrimLab('ext4', { mkfsArgs: ['-b', '1024'] });
    await lab.trim({ windowBytes: 64 * MIB });
    const report = await lab.trim({ windowBytes: 64 * MIB });
    expect(report.requestedBytes).toBe(0);
  });
});

describe.skipIf(!canMount).each(['ext4', 'xfs'] as const)('a minimum length on %s', (fsType) => {
  it('leaves shorter runs as they are, and a smaller one finds them in every window', async () => {
    lab = new TrimLab(fsType);
    const names = Array.from({ length: 200 }, (_, index) => `small-${index}`);
    for (const name of names) lab.writeFile(name, 64 * 1024);
    execFileSync('sync', ['-f', lab.mount.mountPath]);
    for (const [index, name] of names.entries()) if (index % 2 === 0) rmSync(lab.mount.path(name));
    await lab.trim({ minLengthBytes: MIB });
    expect(lab.untrimmedBytes()).toBeGreaterThan(MIB);
    const report = await lab.trim();
    expect(report.confirmedBytes).toBeGreaterThan(MIB);
    expect(lab.untrimmedBytes()).toBe(0);
  });
});
