/** What a trim says when the device does not do what FITRIM says it did. */

import { copyFileSync, rmSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import type { TrimWindowTask } from '../../src/domain/trim-tasks.js';
import { MIB } from '../../src/domain/units.js';
import { KernelCallError } from '../../src/kernel/kernel-error.js';
import { detectMount } from '../../src/kernel/mount-info.js';
import { trimWindow } from '../../workers/trim-window.js';
import { canMount } from '../support/loop-mounts.js';
import { TrimLab } from '../support/trim-lab.js';

const EOPNOTSUPP = 95;
const EIO = 5;

let lab: TrimLab;
afterEach(() => lab?.remove());

function task(backingPath: string): TrimWindowTask {
  const { entry, fsType } = detectMount(lab.mount.mountPath);
  return {
    mountPath: entry.mountPath,
    mountId: entry.mountId,
    fsType,
    window: { startBytes: 0, lengthBytes: 256 * MIB },
    minLengthBytes: 4096,
    devices: [
      { name: lab.deviceName, btrfsId: null, backing: { path: backingPath, offsetBytes: 0 } },
    ],
    stopFlag: null,
    paceBytes: null,
  };
}

function withFreedSpace(fsType: 'ext4' | 'xfs'): string {
  lab = new TrimLab(fsType);
  for (let index = 0; index < 8; index += 1) lab.writeFile(`file-${index}`, 24 * MIB);
  const copyPath = `${lab.mount.imagePaths[0]}.copy`;
  for (let index = 0; index < 8; index += 1) rmSync(lab.mount.path(`file-${index}`));
  // Sees to it that what was freed is on the device, and changes nothing in the image's blocks.
  lab.untrimmedBytes();
  copyFileSync(lab.mount.imagePaths[0] ?? '', copyPath);
  return copyPath;
}

describe.skipIf(!canMount).each(['ext4', 'xfs'] as const)('a device under %s', (fsType) => {
  it('that says it discards and keeps the blocks is told apart from one that does it', () => {
    // The copy is the lying device: whatever is asked of the mount, it keeps its blocks.
    const lying = withFreedSpace(fsType);
    const outcome = trimWindow(task(lying));
    expect(outcome).toMatchObject({ kind: 'trimmed', confirmedBytes: 0, confirmation: 'refused' });
    if (outcome.kind !== 'trimmed') return;
    expect(outcome.requestedBytes).toBeGreaterThan(64 * MIB);
    expect(outcome.heldBytes).toBeGreaterThan(64 * MIB);
    rmSync(lying);
  });

  it('that does it is confirmed, and has nothing left the second time', () => {
    rmSync(withFreedSpace(fsType));
    const real = task(lab.mount.imagePaths[0] ?? '');
    expect(trimWindow(real)).toMatchObject({ confirmation: 'confirmed', heldBytes: 0 });
    expect(trimWindow(real)).toMatchObject({ confirmation: 'nothing-held', confirmedBytes: 0 });
  });

  it('whose blocks nobody can see is never confirmed', () => {
    rmSync(withFreedSpace(fsType));
    const blind = {
      ...task(''),
      devices: [{ name: lab.deviceName, btrfsId: null, backing: null }],
    };
    expect(trimWindow(blind)).toMatchObject({
      kind: 'trimmed',
      confirmedBytes: null,
      heldBytes: null,
      confirmation: 'not-confirmable',
    });
  });

  it.each([
    [EOPNOTSUPP, { kind: 'unsupported', error: { code: 'ERR_UNSUPPORTED' } }],
    [EIO, { kind: 'failed', error: { code: 'ERR_KERNEL' }, nextBytes: 0 }],
  ])('that answers errno %i has an outcome of its own', (errno, expected) => {
    lab = new TrimLab(fsType);
    const refuse = () => {
      throw new KernelCallError('trim', errno, lab.mount.mountPath);
    };
    expect(trimWindow(task(lab.mount.imagePaths[0] ?? ''), refuse)).toMatchObject(expected);
  });
});
