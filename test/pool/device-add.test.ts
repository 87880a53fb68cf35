/**
 * A raw device becomes a disk only when nobody uses it and, without force, nothing is on it; when it
 * is refused it is as it was. Real loop devices, mounts and partitions.
 */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, constants, mkdirSync, openSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { KIB, MIB } from '../../src/domain/units.js';
import { findSignature } from '../../src/kernel/device-signature.js';
import type { LoopDevice } from '../support/loop-device.js';
import { canMount, LoopMount } from '../support/loop-mounts.js';
import {
  checksum,
  closePool,
  content,
  expectSound,
  inventory,
  makeDevice,
  makePool,
  patchFile,
  putFiles,
  reopenPool,
} from '../support/pool-fixture.js';
import { tempDirectory } from '../support/temp-directory.js';

const BYTES = content('device', 3 * MIB + 7);

function imageSum(device: LoopDevice): string {
  return createHash('sha256').update(readFileSync(device.imagePath)).digest('hex');
}

function makeFileSystem(device: LoopDevice): void {
  execFileSync('mkfs.ext4', ['-q', '-F', '-L', 'home', device.path], { stdio: 'pipe' });
  execFileSync('sync', [device.path]);
}

/** One partition of all but the first MiB, as sfdisk would write it. */
function makePartition(device: LoopDevice, sizeBytes: number): void {
  patchFile(device.imagePath, 0, (sector) => {
    sector[450] = 0x83;
    sector.writeUInt32LE(MIB / 512, 454);
    sector.writeUInt32LE((sizeBytes - MIB) / 512, 458);
    sector.writeUInt16LE(0xaa55, 510);
  });
}

describe.skipIf(!canMount)('adding a device', () => {
  it.each([
    { sectorBytes: 512, sizeBytes: 64 * MIB + 3 * KIB + 512 },
    { sectorBytes: 4096, sizeBytes: 64 * MIB + 4 * KIB },
  ] as const)('of $sectorBytes-byte sectors uses whole blocks of it', async (shape) => {
    const device = makeDevice(shape);
    let pool = makePool({ diskCount: 0, extentBytes: MIB });
    const disk = pool.addDisk(device.path, { tier: 'hot' });
    expect(disk).toMatchObject({ kind: 'device', path: device.path, tier: 'hot' });
    // The beginning is in the capacity; the copy of the superblock and a partial block are not.
    const usableBytes = shape.sizeBytes - (shape.sizeBytes % 4096);
    expect(disk.capacityBytes).toBe(usableBytes - MIB);
    await putFiles(pool, { a: BYTES, small: BYTES.subarray(0, 10) });
    pool = await reopenPool(pool);
    expect(await inventory(pool)).toMatchObject({ a: checksum(BYTES) });
    expectSound(pool);
  });

  it('by a link stores the name of the kernel', () => {
    const device = makeDevice();
    const link = join(tempDirectory('link'), 'by-id');
    symlinkSync(device.path, link);
    expect(makePool({ diskCount: 0 }).addDisk(link).path).toBe(device.path);
  });

  it('with a file system says which, and takes it by force only', () => {
    const device = makeDevice();
    makeFileSystem(device);
    const before = imageSum(device);
    const pool = makePool({ diskCount: 0 });
    expect(() => pool.addDisk(device.path)).toThrow(
      expect.objectContaining({
        code: 'ERR_DEVICE_NOT_EMPTY',
        message: `${device.path} carries an ext4 file system "home"`,
      }),
    );
    expect(imageSum(device)).toBe(before);
    expect(pool.disks()).toEqual([]);

    expect(pool.addDisk(device.path, { force: true }).condition).toBe('online');
    expect(findSignature(device.path)).toBeNull();
  });

  it('with a partition table says so', () => {
    const device = makeDevice();
    makePartition(device, 64 * MIB);
    device.detach();
    device.attach();
    expect(() => makePool({ diskCount: 0 }).addDisk(device.path)).toThrow(
      'carries a dos partition table',
    );
  });

  it('that is mounted is refused, also by force, and names the mount', () => {
    using mount = new LoopMount('ext4', { sizeBytes: 64 * MIB });
    const pool = makePool({ diskCount: 0 });
    for (const force of [false, true]) {
      expect(() => pool.addDisk(mount.devicePath, { force })).toThrow(
        expect.objectContaining({
          code: 'ERR_DEVICE_HELD',
          message: `${mount.devicePath} is mounted on ${mount.mountPath}`,
        }),
      );
    }
  });

  it('of which a partition is mounted, or that is one of a held disk, is refused by force too', () => {
    const device = makeDevice();
    makePartition(device, 64 * MIB);
    device.detach();
    device.attach(['--partscan']);
    // Also where the kernel was built to read no partition tables.
    execFileSync('partx', ['--update', device.path], { stdio: 'pipe' });
    const partition = `${device.path}p1`;
    execFileSync('mkfs.ext4', ['-q', '-F', partition], { stdio: 'pipe' });
    const point = join(tempDirectory('partition'), 'mount');
    mkdirSync(point);
    const pool = makePool({ diskCount: 0 });
    execFileSync('mount', [partition, point]);
    try {
      expect(() => pool.addDisk(device.path, { force: true })).toThrow(
        `its partition ${partition.slice('/dev/'.length)} is mounted on ${point}`,
      );
    } finally {
      execFileSync('umount', [point]);
    }
    const fd = openSync(device.path, constants.O_RDONLY | constants.O_EXCL);
    try {
      expect(() => pool.addDisk(partition, { force: true })).toThrow('is held by another program');
    } finally {
      closeSync(fd);
    }
    expect(pool.addDisk(partition, { force: true }).kind).toBe('device');
  });

  it('that another pool has, in use or not, is refused; idle ones can be taken by force', async () => {
    const device = makeDevice();
    const first = makePool({ diskCount: 0 });
    const { uuid } = first.addDisk(device.path);
    const second = makePool({ diskCount: 0 });
    expect(() => second.addDisk(device.path, { force: true })).toThrow(
      expect.objectContaining({ code: 'ERR_DEVICE_HELD' }),
    );
    expect(() => first.addDisk(device.path, { force: true })).toThrow(
      expect.objectContaining({ code: 'ERR_DISK_IN_USE' }),
    );
    await closePool(first);
    expect(() => second.addDisk(device.path)).toThrow(
      `carries disk ${uuid} of dynamicfs pool ${first.id}`,
    );
    expect(second.addDisk(device.path, { force: true }).condition).toBe('online');
  });

  it('that is too small, or no device, or limited, changes nothing', () => {
    const device = makeDevice({ sizeBytes: 8 * MIB });
    const before = imageSum(device);
    const pool = makePool({ diskCount: 0 });
    expect(() => pool.addDisk(device.path)).toThrow('is too small for a disk: 8.00 MB');
    expect(() => pool.addDisk(device.path, { capacityBytes: 4 * MIB })).toThrow(
      'a device is used as a whole',
    );
    expect(imageSum(device)).toBe(before);
    expect(pool.disks()).toEqual([]);
  });
});
