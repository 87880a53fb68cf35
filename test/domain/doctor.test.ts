/** What `doctor` says for facts that no single machine has. */

import { describe, expect, it } from 'vitest';
import type { DeviceLayer } from '../../src/domain/device-layers.js';
import { diagnose } from '../../src/domain/doctor.js';
import type { DoctorFacts, XfsFacts } from '../../src/domain/findings.js';
import type { FsType } from '../../src/domain/mounts.js';

const DISK: DeviceLayer = {
  name: 'sda',
  kind: 'disk',
  label: 'sda',
  sizeBytes: 1e12,
  discardMaxBytes: 2 ** 31,
  discardMaxHardwareBytes: 2 ** 31,
  discardGranularityBytes: 4096,
  isRotational: false,
  mdLevel: null,
  backingPath: null,
  provisioningMode: 'unmap',
  isUsb: false,
  isVirtual: false,
  model: 'SSD',
  below: [],
};

function xfsFacts(changes: Partial<XfsFacts> = {}): XfsFacts {
  return { move: 'swap-extents', hasReflink: true, hasReverseMap: true, ...changes };
}

function facts(fsType: FsType, changes: Partial<DoctorFacts> = {}, options: string[] = []) {
  const entry = {
    mountId: 1,
    parentId: 0,
    deviceMajor: 8,
    deviceMinor: 0,
    root: '/',
    mountPath: '/srv',
    isPathExact: true,
    options: ['rw'],
    typeName: fsType === 'other' ? 'vfat' : fsType,
    source: '/dev/sda',
    superOptions: ['rw', ...options],
  };
  const devices = [{ name: 'sda', path: '/dev/sda' }];
  const ext4 = { hasExtents: true, hasBigalloc: false, hasEncryption: false, hasVerity: false };
  return {
    mount: {
      entry,
      fsType,
      isReadOnly: false,
      hasFailed: false,
      isWhole: true,
      devices,
      sysfsName: 'sda',
    },
    layers: [DISK],
    hosts: [],
    ext4Features: fsType === 'ext4' ? ext4 : null,
    xfs: fsType === 'xfs' ? xfsFacts() : null,
    canAdminister: true,
    canOpenByHandle: true,
    maintainers: [],
    ...changes,
  } satisfies DoctorFacts;
}

const said = (of: DoctorFacts) =>
  diagnose(of)
    .map(({ what }) => what)
    .join('\n');

const problems = (of: DoctorFacts) =>
  diagnose(of)
    .filter(({ severity }) => severity === 'problem')
    .map(({ what }) => what);

describe('diagnose', () => {
  it.each(['ext4', 'xfs', 'btrfs'] as const)('finds nothing wrong with a plain %s', (fsType) => {
    const findings = diagnose(facts(fsType));
    expect(findings.filter(({ severity }) => ['problem', 'warning'].includes(severity))).toEqual(
      [],
    );
    expect(findings.some(({ layer, severity }) => layer === 'defrag' && severity === 'ok')).toBe(
      true,
    );
    expect(findings).toContainEqual(
      expect.objectContaining({ what: 'nothing else trims or defragments it' }),
    );
  });

  it('puts what does not work before what does, with the line that changes it', () => {
    const crypt: DeviceLayer = {
      ...DISK,
      name: 'dm-0',
      label: 'luks',
      kind: 'dm-crypt',
      discardMaxBytes: 0,
      discardMaxHardwareBytes: 0,
      below: [DISK],
    };
    const [first] = diagnose(facts('ext4', { layers: [crypt] }));
    expect(first).toMatchObject({
      severity: 'problem',
      layer: 'dm-0',
      what: 'no trim: dm-crypt luks was opened without allow_discards',
    });
    expect(first?.fix).toContain('cryptsetup refresh --allow-discards');
  });

  it('does not call it a problem that a rotating disk takes no discards', () => {
    const layers = [
      { ...DISK, isRotational: true, discardMaxBytes: 0, discardMaxHardwareBytes: 0 },
    ];
    expect(problems(facts('xfs', { layers }))).toEqual([]);
  });

  it('follows a loop device to the mount that holds its file, and to the disk of that', () => {
    const loop = { ...DISK, name: 'loop1', kind: 'loop' as const, isRotational: true };
    const virtual = { ...DISK, name: 'vda', label: 'vda', isRotational: true, isVirtual: true };
    const host = { loopName: 'loop1', mountPath: '/srv', typeName: 'xfs', layers: [virtual] };
    const findings = diagnose(facts('ext4', { layers: [loop], hosts: [host] }));
    const text = findings.map(({ what }) => what).join('\n');
    expect(text).toContain('its file lies on xfs at /srv (disk vda)');
    expect(text).toContain('a virtual disk, of which its host alone knows whether it rotates');
    const refusing = { ...loop, discardMaxBytes: 0, discardMaxHardwareBytes: 0 };
    const [first] = diagnose(facts('ext4', { layers: [refusing], hosts: [host] }));
    expect(first).toMatchObject({ severity: 'problem', layer: 'loop1' });
  });

  it.each([
    ['data=journal', facts('ext4', {}, ['data=journal'])],
    [
      'bigalloc',
      facts('ext4', {
        ext4Features: {
          hasExtents: true,
          hasBigalloc: true,
          hasEncryption: false,
          hasVerity: false,
        },
      }),
    ],
    [
      'without extents',
      facts('ext4', {
        ext4Features: {
          hasExtents: false,
          hasBigalloc: false,
          hasEncryption: false,
          hasVerity: false,
        },
      }),
    ],
    ['CAP_SYS_ADMIN', facts('ext4', { canAdminister: false })],
    ['vfat can be analysed', facts('other')],
  ])('names what keeps files from being moved: %s', (what, of) => {
    expect(problems(of)).toEqual([expect.stringContaining(what)]);
  });

  it('says that a read-only mount is left alone', () => {
    const { mount } = facts('xfs');
    expect(problems(facts('xfs', { mount: { ...mount, isReadOnly: true } }))).toEqual([
      'mounted read-only: nothing is changed on it',
    ]);
  });

  it.each([
    ['commit-range', 'XFS_IOC_COMMIT_RANGE, as it was made with exchange'],
    ['share-range', 'FIDEDUPERANGE, as it was made without rmapbt and exchange'],
    ['swap-extents', 'XFS_IOC_SWAPEXT, as it was made with rmapbt'],
    ['none', 'no file is moved: made without reflink, rmapbt and exchange'],
  ] as const)('says what moves files of XFS, and why: %s', (move, call) => {
    expect(said(facts('xfs', { xfs: xfsFacts({ move }) }))).toContain(call);
  });

  it('claims no call for an XFS whose geometry it could not read', () => {
    const unknown = said(facts('xfs', { xfs: null }));
    expect(unknown).toContain('which call moves files is not known');
    expect(unknown).not.toMatch(/XFS_IOC|FIDEDUPERANGE/);
  });

  it.each([
    ['inode tables', facts('ext4')],
    ['searches the trees', facts('btrfs')],
    ['asks bulkstat, and opens the files alone', facts('xfs')],
    ['it opens every file', facts('xfs', { xfs: xfsFacts({ hasReverseMap: false }) })],
    [
      'opens the files alone',
      facts('xfs', { xfs: xfsFacts({ hasReflink: false, hasReverseMap: false }) }),
    ],
    ['walks all directories', facts('ext4', { canOpenByHandle: false })],
    [
      'walks all directories',
      facts('btrfs', { mount: { ...facts('btrfs').mount, isWhole: false } }),
    ],
  ])('says how files are analysed: %s', (how, of) => {
    const lines = diagnose(of).filter(({ layer }) => layer === 'analysis');
    expect(lines).toEqual([expect.objectContaining({ what: expect.stringContaining(how) })]);
  });

  it('warns of others that do the same work, and tells how to end it', () => {
    const path = '/etc/systemd/system/timers.target.wants/fstrim.timer';
    const maintainers = [{ name: 'fstrim.timer', path, does: 'trim' as const }];
    expect(diagnose(facts('xfs', { maintainers }))).toContainEqual({
      severity: 'warning',
      layer: 'maintainers',
      what: `fstrim.timer trims it, too (${path}): it stalls writers for as long as it takes`,
      fix: 'systemctl disable --now fstrim.timer',
    });
  });

  it('does not tell anybody to switch off a check', () => {
    const path = '/etc/systemd/system/timers.target.wants/e2scrub_all.timer';
    const maintainers = [{ name: 'e2scrub_all.timer', path, does: 'check' as const }];
    expect(diagnose(facts('ext4', { maintainers }))).toContainEqual({
      severity: 'info',
      layer: 'maintainers',
      what: `e2scrub_all.timer will check it (${path})`,
      fix: null,
    });
  });

  it('warns of online discard, and takes that of Btrfs as it is', () => {
    const severities = (of: DoctorFacts) =>
      diagnose(of)
        .filter(({ what }) => what.includes('discard') && what.includes('little'))
        .map(({ severity }) => severity);
    expect(severities(facts('ext4', {}, ['discard']))).toEqual(['warning']);
    expect(severities(facts('btrfs', {}, ['discard=async']))).toEqual(['info']);
  });
});
