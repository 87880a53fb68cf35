/**
 * The figures of each device of a Btrfs of several.
 *
 * Strategy: every block of the files begins with a mark, and the images are searched for it. So what
 * lies on which device is known without Btrfs's own maps.
 */

import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { makeFsAnalysis } from '../../src/domain/fs-analysis.js';
import { btrfsDevices } from '../../src/kernel/btrfs-devices.js';
import { scanFreeSpace } from '../../src/kernel/scan.js';
import { canMount, LoopMount } from '../support/loop-mounts.js';
import { BLOCK_BYTES, comparable, scanBoth } from '../support/scan-lab.js';

const MIB = 1024 * 1024;
const DEVICE_BYTES = 128 * MIB;
const STRIPE_BYTES = 64 * 1024;
const MARK = 'marked for the search, block by block;';
/** Less and more than a stripe of 64 KiB, and several rows of them. */
const FILE_BLOCKS = [1, 5, 75, 801];

describe.skipIf(!canMount)('a scan of a Btrfs of several devices', () => {
  it.each([
    ['single', 2, 1, 0],
    ['raid0', 3, 1, 0],
    ['raid1', 3, 2, 0],
    ['raid10', 4, 2, 0],
    ['raid5', 3, 1, 1],
    ['raid6', 4, 1, 1],
  ])('tells what lies on which, with %s', (profile, deviceCount, copyCount, parityCount) => {
    using mount = new LoopMount('btrfs', {
      deviceCount,
      sizeBytes: DEVICE_BYTES,
      mkfsArgs: ['-d', profile, '-m', 'raid1'],
    });
    let blocks = 0;
    for (const [index, count] of FILE_BLOCKS.entries()) {
      writeFileSync(mount.path(`file-${index}`), markedBlocks(count));
      blocks += count;
    }
    execFileSync('sync', ['-f', mount.mountPath]);
    const [bulk, walk] = scanBoth(mount);
    expect(comparable(bulk)).toEqual(comparable(walk));
    expect(bulk.devices.map(({ path }) => path)).toEqual(mount.devicePaths);
    for (const [index, path] of mount.imagePaths.entries()) {
      const missing = markedBytes(path) - (bulk.devices[index]?.allocatedBytes ?? 0);
      // The parity of a row that is not full may look like its data.
      expect(missing).toBeGreaterThanOrEqual(0);
      expect(missing).toBeLessThanOrEqual(parityCount * FILE_BLOCKS.length * STRIPE_BYTES);
    }
    expect(sum(bulk.devices, 'allocatedBytes')).toBe(copyCount * blocks * BLOCK_BYTES);
    expect(sum(bulk.devices, 'fileCount')).toBeGreaterThanOrEqual(copyCount * FILE_BLOCKS.length);
    for (const device of bulk.devices) {
      expect(device.sizeBytes).toBe(DEVICE_BYTES);
      expect(device.contiguousBytes).toBe(device.allocatedBytes);
      expect(device.fragmentedCount).toBe(0);
    }
  });

  it('tells the free space of each, in runs, and which is in chunks', () => {
    using mount = new LoopMount('btrfs', {
      deviceCount: 2,
      sizeBytes: DEVICE_BYTES,
      mkfsArgs: ['-d', 'raid0', '-m', 'raid1'],
    });
    writeFileSync(mount.path('file'), markedBlocks(801));
    const [scan] = scanBoth(mount);
    const { mountPath, fsType, devicePaths } = mount;
    const free = scanFreeSpace({ mountPath, fsType, devicePaths, mapCellCount: 0 });
    expect(sum(free.devices, 'freeBytes')).toBe(free.freeBytes);
    for (const device of free.devices) {
      expect(device.freeBytes).toBeGreaterThan(0);
      expect(device.largestBytes).toBeLessThanOrEqual(device.freeBytes);
      const counted = device.runs.reduce((total, { bytes }) => total + bytes, 0);
      expect(counted).toBe(device.freeBytes);
    }
    const fd = openSync(mountPath, 'r');
    const devices = btrfsDevices({ fd, path: mountPath });
    closeSync(fd);
    expect(devices.map(({ path }) => path)).toEqual(devicePaths);
    for (const { sizeBytes, chunkBytes } of devices) {
      expect(sizeBytes).toBe(DEVICE_BYTES);
      expect(chunkBytes).toBeGreaterThan(0);
      expect(chunkBytes).toBeLessThan(sizeBytes);
    }
    const disk = { diskId: 'id', path: mountPath, devices: devicePaths, capacityBytes: null };
    const analysis = makeFsAnalysis(scan, free, disk, {
      nowMs: 0,
      worstCount: 1,
      incomplete: null,
    });
    expect(analysis.disks).toMatchObject(
      devicePaths.map((path, index) => ({
        diskId: `id:${index + 1}`,
        devices: [path],
        capacityBytes: DEVICE_BYTES,
        extentCount: 1,
        fragmentedExtentCount: 0,
        freeSpace: { freeBytes: free.devices[index]?.freeBytes },
      })),
    );
  });

  it('tells nothing apart where there is one device', () => {
    using mount = new LoopMount('btrfs', { sizeBytes: DEVICE_BYTES });
    writeFileSync(mount.path('file'), markedBlocks(3));
    const [bulk] = scanBoth(mount);
    expect(bulk.devices).toEqual([]);
  });
});

function markedBlocks(count: number): Buffer {
  const bytes = Buffer.alloc(count * BLOCK_BYTES);
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) bytes.write(MARK, at, 'latin1');
  return bytes;
}

function markedBytes(imagePath: string): number {
  const image = readFileSync(imagePath);
  const mark = Buffer.from(MARK, 'latin1');
  let found = 0;
  for (let at = 0; at < image.length; at += BLOCK_BYTES) {
    if (mark.equals(image.subarray(at, at + mark.length))) found += BLOCK_BYTES;
  }
  return found;
}

function sum<K extends string>(devices: readonly Readonly<Record<K, number>>[], key: K): number {
  return devices.reduce((total, device) => total + device[key], 0);
}
