/** A disk that takes no more writes, met by the command line: the run says why it failed, of which files, and what to do. */

import { execFileSync } from 'node:child_process';
import { afterAll, describe, expect, it } from 'vitest';
import { KIB, MIB } from '../../src/domain/units.js';
import { problemsOf } from '../support/check-file-system.js';
import { CliNode } from '../support/cli-run.js';
import { canFault, FaultDisk } from '../support/fault-disk.js';
import { makeFiles, sha256Manifest } from '../support/fs-lab.js';
import { LOOP_FS_TYPES, type LoopFsType, LoopMount } from '../support/loop-mounts.js';
import { unmountInTime } from '../support/unmount.js';

const MKFS = {
  ext4: ['mkfs.ext4', '-qF', '-b', '4096'],
  xfs: ['mkfs.xfs', '-qf'],
  btrfs: ['mkfs.btrfs', '-qf'],
} as const;
const FILE_COUNT = 24;
/** Failed files that a run names; what the others have in common is told of them. */
const EXAMPLES_MAX = 5;
const RUN = ['--once', '--wait', '--intensity', 'high', '--min-age', '0'];

const node = new CliNode();
afterAll(() => node.stop());

describe.skipIf(!canFault).each(LOOP_FS_TYPES)('a %s whose writes fail for good', (fsType) => {
  it('fails the run with the reason and a next step, and loses nothing', async () => {
    await using lab = await FaultyMount.start(fsType);
    const { disk, flags } = lab;

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

    await lab.expectSoundAgain();
  });
});

describe.skipIf(!canFault)('an xfs of which only data fails', () => {
  it('has its failed files named, not what was made for their moves, and counted', async () => {
    await using lab = await FaultyMount.start('xfs');
    const { disk, mount, flags } = lab;
    // The kernel knows no path of what was not looked at since.
    unmountInTime(mount);
    mount.mount();
    // Each file meets it for itself, in its donor, while the journal goes on. That of ext4 would not.
    await disk.fail({ op: 'write', nth: 1, count: null, bytesMin: 64 * KIB });
    await node.run(['defrag', 'start', ...flags, ...RUN]);
    const { run } = await node.json('defrag status', flags);
    await disk.fail(null);
    expect(run).toMatchObject({ state: 'completed', doneCount: 0 });
    const failed = run?.exclusions.filter(({ outcome }) => outcome === 'failed') ?? [];
    const examples = failed.filter(({ reason }) => !reason.startsWith('more files: '));
    const others = failed.filter(({ reason }) => reason.startsWith('more files: '));
    const count = failed.reduce((sum, one) => sum + one.count, 0);
    expect(count).toBe(run?.failedCount);
    expect(count).toBeGreaterThan(EXAMPLES_MAX);
    expect(examples).toHaveLength(EXAMPLES_MAX);
    for (const { reason, count: times } of examples) {
      expect(reason).toMatch(new RegExp(`${mount.mountPath}/file-\\d\\d\\b.*\\(EIO\\)$`));
      expect(times).toBe(1);
    }
    // Neither files nor donors: else there would be one for each.
    for (const { reason } of others) expect(reason).not.toContain(mount.mountPath);
    await lab.expectSoundAgain();
  });
});

/** A pool with fragmented files on a disk that can be made to fail. */
class FaultyMount implements AsyncDisposable {
  readonly disk: FaultDisk;
  readonly mount: LoopMount;
  readonly flags: readonly string[];
  readonly #manifest: Record<string, string>;

  private constructor(disk: FaultDisk, mount: LoopMount) {
    this.disk = disk;
    this.mount = mount;
    this.flags = ['--pool', mount.mountPath];
    makeFiles(mount, FILE_COUNT);
    execFileSync('sync', ['-f', mount.mountPath]);
    this.#manifest = sha256Manifest(mount.mountPath);
  }

  static async start(fsType: LoopFsType): Promise<FaultyMount> {
    const disk = await FaultDisk.start(400 * MIB);
    const [program, ...args] = MKFS[fsType];
    execFileSync(program, [...args, disk.imagePath], { stdio: 'pipe' });
    const lab = new FaultyMount(disk, new LoopMount(fsType, { imagePath: disk.imagePath }));
    await node.json('init', lab.flags);
    return lab;
  }

  /** Once its disk is well again, and mounted anew. */
  async expectSoundAgain(): Promise<void> {
    const { mount, flags } = this;
    unmountInTime(mount);
    mount.mount();
    const again = await node.json('defrag start', [...flags, ...RUN]);
    expect(again).toMatchObject({ run: { state: 'completed', failedCount: 0 } });
    expect(sha256Manifest(mount.mountPath)).toEqual(this.#manifest);
    unmountInTime(mount);
    expect(problemsOf(mount.fsType, mount.devicePath)).toBeNull();
    mount.mount();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.mount.remove();
    await this.disk[Symbol.asyncDispose]();
  }
}
