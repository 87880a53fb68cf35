/** A disk that takes no more writes, met by the command line: the run says why it failed, and what to do. */

import { execFileSync } from 'node:child_process';
import { afterAll, describe, expect, it } from 'vitest';
import { MIB } from '../../src/domain/units.js';
import { problemsOf } from '../support/check-file-system.js';
import { CliNode } from '../support/cli-run.js';
import { canFault, FaultDisk } from '../support/fault-disk.js';
import { makeFiles, sha256Manifest } from '../support/fs-lab.js';
import { LOOP_FS_TYPES, LoopMount } from '../support/loop-mounts.js';
import { unmountInTime } from '../support/unmount.js';

const MKFS = {
  ext4: ['mkfs.ext4', '-qF', '-b', '4096'],
  xfs: ['mkfs.xfs', '-qf'],
  btrfs: ['mkfs.btrfs', '-qf'],
} as const;
const RUN = ['--once', '--wait', '--intensity', 'high', '--min-age', '0'];

const node = new CliNode();
afterAll(() => node.stop());

describe.skipIf(!canFault).each(LOOP_FS_TYPES)('a %s whose writes fail for good', (fsType) => {
  it('fails the run with the reason and a next step, and loses nothing', async () => {
    await using disk = await FaultDisk.start(400 * MIB);
    const [program, ...args] = MKFS[fsType];
    execFileSync(program, [...args, disk.imagePath], { stdio: 'pipe' });
    using mount = new LoopMount(fsType, { imagePath: disk.imagePath });
    makeFiles(mount, 24);
    execFileSync('sync', ['-f', mount.mountPath]);
    const manifest = sha256Manifest(mount.mountPath);
    const flags = ['--pool', mount.mountPath];
    await node.json('init', flags);

    await disk.fail({ op: 'write', nth: 2, count: null });
    const end = await node.run(['defrag', 'start', ...flags, ...RUN]);
    const status = await node.json('status', flags);
    const { run } = await node.json('defrag status', flags);
    await disk.fail(null);
    expect(run).toMatchObject({ doneCount: 0 });
    expect(end.code).not.toBe(0);
    expect(end.stderr).toMatch(/Next: .*dmesg/);
    if (run?.state === 'failed') {
      expect(end.stderr).toMatch(/^Error: /m);
    } else {
      // XFS may go on, while each write of data fails for itself.
      const { failedCount = 0, skippedCount = 0 } = run ?? {};
      expect(failedCount).toBeGreaterThan(0);
      expect(end.code).toBe(skippedCount === 0 ? 32 : 64);
      expect(end.stdout).toMatch(/Failed: .*\(EIO\)/);
    }
    const failedReasons = run?.exclusions.filter(({ outcome }) => outcome === 'failed') ?? [];
    expect(failedReasons.length).toBeLessThanOrEqual(12);
    if (fsType === 'ext4') {
      expect(run).toMatchObject({ state: 'failed', error: { code: 'ERR_PERMISSION' } });
      expect(end.code).toBe(13);
      expect(end.stderr).toContain('went read-only because of an error');
      expect(status).toMatchObject({ condition: 'read-only' });
    }

    unmountInTime(mount);
    mount.mount();
    const again = await node.json('defrag start', [...flags, ...RUN]);
    expect(again).toMatchObject({ run: { state: 'completed', failedCount: 0 } });
    expect(sha256Manifest(mount.mountPath)).toEqual(manifest);
    unmountInTime(mount);
    expect(problemsOf(fsType, mount.devicePath)).toBeNull();
    mount.mount();
  });
});
