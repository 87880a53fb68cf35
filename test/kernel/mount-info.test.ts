/** mountinfo as the kernel writes it, and real mounts that a comparison of paths gets wrong. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  describeMount,
  detectMount,
  majorOf,
  minorOf,
  mountOf,
  parseMountInfo,
  readMounts,
} from '../../src/kernel/mount-info.js';
import { canMount, LoopMount } from '../support/loop-mounts.js';
import { tempDirectory } from '../support/temp-directory.js';

describe('parseMountInfo', () => {
  it('reads every field, whatever the number of optional ones', () => {
    const text = [
      '36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:7 - ext4 /dev/root rw,errors=continue',
      '37 35 0:44 / /srv ro - btrfs /dev/vdb ro,space_cache=v2,subvol=/',
      '',
    ].join('\n');
    expect(parseMountInfo(text)).toEqual([
      {
        mountId: 36,
        parentId: 35,
        deviceMajor: 98,
        deviceMinor: 0,
        root: '/mnt1',
        mountPath: '/mnt2',
        isPathExact: true,
        options: ['rw', 'noatime'],
        typeName: 'ext4',
        source: '/dev/root',
        superOptions: ['rw', 'errors=continue'],
      },
      expect.objectContaining({
        mountId: 37,
        mountPath: '/srv',
        options: ['ro'],
        typeName: 'btrfs',
        superOptions: ['ro', 'space_cache=v2', 'subvol=/'],
      }),
    ]);
  });

  it('decodes what the kernel escapes: space, tab, newline, backslash and hash', () => {
    const line = '40 1 7:0 / /mnt/a\\040b\\011c\\012d\\134e\\043f rw - xfs /dev/my\\040disk rw';
    expect(parseMountInfo(line)).toMatchObject([
      { mountPath: '/mnt/a b\tc\nd\\e#f', source: '/dev/my disk', isPathExact: true },
    ]);
  });

  it('keeps a hyphen in a path or an option apart from the one that ends the options', () => {
    const line = '40 1 7:0 /- /- rw,- shared:1 - xfs - rw';
    expect(parseMountInfo(line)).toMatchObject([
      { root: '/-', mountPath: '/-', options: ['rw', '-'], typeName: 'xfs', source: '-' },
    ]);
  });

  it('decodes UTF-8, and says of a path in another encoding that it cannot be opened by it', () => {
    const utf8 = Buffer.from('40 1 7:0 / /mnt/größe rw - xfs a rw').toString('latin1');
    expect(parseMountInfo(utf8)).toMatchObject([{ mountPath: '/mnt/größe', isPathExact: true }]);
    const latin1 = '40 1 7:0 / /mnt/gr\xf6\xdfe rw - xfs a rw';
    expect(parseMountInfo(latin1)).toMatchObject([{ isPathExact: false }]);
  });

  it('passes over lines that are none', () => {
    expect(parseMountInfo('\n40 1 7:0 / /mnt rw\nnonsense\n')).toEqual([]);
  });
});

describe('device numbers', () => {
  it.each([
    [0x0700, 7, 0],
    [0x1031_0302, 259, 0x1_0302],
    [0xfe03, 254, 3],
  ])('are taken apart as makedev(3) puts them together: %i', (number, major, minor) => {
    expect([majorOf(number), minorOf(number)]).toEqual([major, minor]);
  });
});

describe('Btrfs in a recorded tree', () => {
  it('lists every member by the UUID of the file system that has the source among them', () => {
    const root = tempDirectory('sysfs');
    const trees = { procPath: join(root, 'proc'), sysPath: join(root, 'sys') };
    for (const [uuid, names] of [
      ['aaaa', ['sdz']],
      ['bbbb', ['sdx', 'cciss!c0d0p1']],
    ] as const) {
      const devices = join(trees.sysPath, 'fs/btrfs', uuid, 'devices');
      mkdirSync(devices, { recursive: true });
      for (const name of names) writeFileSync(join(devices, name), '');
    }
    mkdirSync(join(trees.sysPath, 'fs/btrfs/features'));
    const line = '40 1 0:44 /@home /home rw - btrfs /dev/cciss/c0d0p1 rw,subvol=/@home';
    const [entry] = parseMountInfo(line);
    if (!entry) throw new Error('not parsed');
    expect(describeMount(entry, trees)).toMatchObject({
      fsType: 'btrfs',
      isWhole: false,
      sysfsName: 'bbbb',
      devices: [
        { name: 'cciss!c0d0p1', path: '/dev/cciss/c0d0p1' },
        { name: 'sdx', path: '/dev/sdx' },
      ],
    });
  });
});

describe('the mounts of this machine', () => {
  it('finds the one that holds a path', () => {
    expect(mountOf('/proc/self/status')).toMatchObject({ mountPath: '/proc', typeName: 'proc' });
    expect(detectMount('/proc')).toMatchObject({ fsType: 'other', devices: [], sysfsName: null });
    expect(readMounts().length).toBeGreaterThan(2);
  });

  it('says of a path that is not there that it is not found', () => {
    expect(() => mountOf('/nowhere/at/all')).toThrow(
      expect.objectContaining({ code: 'ERR_TARGET_NOT_FOUND' }),
    );
  });
});

function run(program: string, ...args: readonly string[]): void {
  execFileSync(program, args, { stdio: 'pipe' });
}

describe.skipIf(!canMount)('a mount on a loop device', () => {
  let image: LoopMount;
  beforeAll(() => {
    image = new LoopMount('ext4');
  });
  afterAll(() => image.remove());

  it('is found with its device', () => {
    const name = basename(image.devicePath);
    expect(detectMount(image.mountPath)).toMatchObject({
      entry: { mountPath: image.mountPath, typeName: 'ext4', source: image.devicePath, root: '/' },
      fsType: 'ext4',
      isReadOnly: false,
      hasFailed: false,
      isWhole: true,
      devices: [{ name, path: image.devicePath }],
      sysfsName: name,
    });
  });

  it('is found through a symbolic link, and below a mount that covers another', () => {
    const link = join(tempDirectory('link'), 'link');
    symlinkSync(image.mountPath, link);
    expect(mountOf(link).mountPath).toBe(image.mountPath);
    run('mount', '-t', 'tmpfs', 'none', image.mountPath);
    try {
      expect(mountOf(image.mountPath).typeName).toBe('tmpfs');
    } finally {
      run('umount', image.mountPath);
    }
    expect(mountOf(image.mountPath).typeName).toBe('ext4');
  });

  it('is not whole where a directory of it is mounted elsewhere, under a name to be escaped', () => {
    const bound = join(tempDirectory('bound'), 'with space\n#and\\more');
    mkdirSync(image.path('inner'));
    mkdirSync(bound);
    run('mount', '--bind', image.path('inner'), bound);
    try {
      const found = detectMount(bound);
      expect(found).toMatchObject({ isWhole: false, entry: { root: '/inner', mountPath: bound } });
      expect(found.devices).toEqual(detectMount(image.mountPath).devices);
    } finally {
      run('umount', bound);
    }
  });

  it.each([
    ['rw,relatime', 'rw,errors=continue', false, false],
    ['rw,relatime', 'rw,emergency_ro', true, true],
    ['rw,relatime', 'rw,shutdown', true, true],
    ['rw,relatime', 'ro', true, true],
    ['ro,relatime', 'ro', true, false],
    ['ro,relatime', 'rw', true, false],
  ])(
    'with %s - %s is read-only: %s, by itself after an error: %s',
    (own, all, isReadOnly, hasFailed) => {
      const [entry] = parseMountInfo(`36 35 8:1 / /mnt ${own} shared:1 - ext4 /dev/sda1 ${all}`);
      if (!entry) throw new Error('expected an entry');
      expect(describeMount(entry)).toMatchObject({ isReadOnly, hasFailed });
    },
  );

  it('is read-only when it was mounted so', () => {
    run('mount', '-o', 'remount,ro', image.mountPath);
    expect(detectMount(image.mountPath)).toMatchObject({ isReadOnly: true, hasFailed: false });
    run('mount', '-o', 'remount,rw', image.mountPath);
  });
});

describe.skipIf(!canMount)('a Btrfs mount', () => {
  it('has the devices of sysfs, though its number is anonymous', () => {
    using image = new LoopMount('btrfs', { deviceCount: 2 });
    const found = detectMount(image.mountPath);
    expect(found.entry.deviceMajor).toBe(0);
    expect(found.devices.map(({ path }) => path).sort()).toEqual([...image.devicePaths].sort());
    expect(found.sysfsName).toMatch(/^[0-9a-f]{8}-/);
  });
});
