/** `doctor` on mounts that are really there, and on timers and cron jobs that a test has made. */

import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { effectiveCapabilities } from '../../src/kernel/capabilities.js';
import { readExt4Features } from '../../src/kernel/ext4-features.js';
import { findMaintainers } from '../../src/kernel/maintainers.js';
import { detectMount } from '../../src/kernel/mount-info.js';
import { examineMount, gatherFacts } from '../../src/pool/fs-pool/doctor.js';
import { canMount, LOOP_FS_TYPES, LoopMount } from '../support/loop-mounts.js';
import { tempDirectory } from '../support/temp-directory.js';

describe.skipIf(!canMount).each(LOOP_FS_TYPES)('doctor on a mounted %s', (fsType) => {
  it('follows it down to the file behind its loop device, and finds nothing in the way', () => {
    using image = new LoopMount(fsType);
    const mount = detectMount(image.mountPath);
    const findings = examineMount(mount);
    expect(findings.filter(({ severity }) => severity === 'problem')).toEqual([]);
    expect(gatherFacts(mount, null).layers).toMatchObject([
      { kind: 'loop', backingPath: image.imagePaths[0], discardGranularityBytes: 4096 },
    ]);
  });
});

describe.skipIf(!canMount)('the features of ext4', () => {
  it('tell what cannot be moved', () => {
    using plain = new LoopMount('ext4');
    expect(readExt4Features(plain.devicePath)).toMatchObject({
      hasExtents: true,
      hasBigalloc: false,
    });
    using old = new LoopMount('ext4', { mkfsArgs: ['-O', '^extent,^64bit,^metadata_csum'] });
    expect(readExt4Features(old.devicePath)).toMatchObject({ hasExtents: false });
    using xfs = new LoopMount('xfs');
    expect(readExt4Features(xfs.devicePath)).toBe(null);
  });
});

describe('findMaintainers', () => {
  it('finds enabled timers and cron jobs, and passes over masked ones and those of others', () => {
    const etc = tempDirectory('etc');
    const system = join(etc, 'systemd/system');
    mkdirSync(join(system, 'timers.target.wants'), { recursive: true });
    mkdirSync(join(etc, 'cron.weekly'), { recursive: true });
    for (const name of ['fstrim.timer', 'btrfs-balance.timer', 'xfs_scrub_all.timer']) {
      symlinkSync(`/usr/lib/systemd/system/${name}`, join(system, 'timers.target.wants', name));
    }
    symlinkSync('/dev/null', join(system, 'xfs_scrub_all.timer'));
    writeFileSync(join(etc, 'cron.weekly/xfs_fsr'), '');
    writeFileSync(join(etc, 'cron.weekly/man-db'), '# fstrim is not run here\n');
    writeFileSync(join(etc, 'cron.weekly/tidy'), '#!/bin/sh\ne4defrag /srv\n');
    const names = (fsType: 'xfs' | 'btrfs') =>
      findMaintainers(fsType, etc).map(({ name, does }) => `${name} ${does}`);
    expect(names('xfs')).toEqual(['fstrim.timer trim', 'xfs_fsr defragment']);
    expect(names('btrfs')).toEqual(['fstrim.timer trim', 'btrfs-balance.timer balance']);
    expect(findMaintainers('ext4', etc).map(({ name, does }) => `${name} ${does}`)).toEqual([
      'fstrim.timer trim',
      'tidy defragment',
    ]);
    expect(findMaintainers('ext4', '/nowhere')).toEqual([]);
  });
});

describe('effectiveCapabilities', () => {
  it.each([
    ['000001ffffffffff', true, true],
    ['0000000000200000', true, false],
    ['0000000000000004', false, true],
    ['0000000000000000', false, false],
  ])('reads %s', (bits, canAdminister, canOpenByHandle) => {
    const status = `CapPrm:\tffff\nCapEff:\t${bits}\nCapBnd:\tffff\n`;
    expect(effectiveCapabilities(status)).toEqual({ canAdminister, canOpenByHandle });
  });
});
