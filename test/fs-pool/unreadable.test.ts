/** A disk that cannot be read: whoever scans it says so, and never takes what is missing for nothing. */

import { execFileSync } from 'node:child_process';
import { afterAll, describe, expect, it } from 'vitest';
import { MIB } from '../../src/domain/units.js';
import { type CliEnd, CliNode } from '../support/cli-run.js';
import { canFault, FaultDisk } from '../support/fault-disk.js';
import { makeFiles, sha256Manifest } from '../support/fs-lab.js';
import { LoopMount } from '../support/loop-mounts.js';
import { unmountInTime } from '../support/unmount.js';

const MKFS = {
  ext4: ['mkfs.ext4', '-qF', '-b', '4096'],
  btrfs: ['mkfs.btrfs', '-qf'],
} as const;
const ERR_KERNEL_EXIT = 20;
const RUN = ['--once', '--wait', '--intensity', 'high', '--min-age', '0'];

const node = new CliNode();
afterAll(() => node.stop());

describe.skipIf(!canFault).each(['btrfs', 'ext4'] as const)(
  'a %s that cannot be read',
  (fsType) => {
    it('is called incomplete by every command that scans it, and kills no agent', async () => {
      await using disk = await FaultDisk.start(400 * MIB);
      const [program, ...args] = MKFS[fsType];
      execFileSync(program, [...args, disk.imagePath], { stdio: 'pipe' });
      using mount = new LoopMount(fsType, { imagePath: disk.imagePath });
      makeFiles(mount, 24);
      execFileSync('sync', ['-f', mount.mountPath]);
      const manifest = sha256Manifest(mount.mountPath);
      const flags = ['--pool', mount.mountPath];
      await node.json('init', flags);

      const whileUnreadable = async (command: readonly string[]): Promise<CliEnd> => {
        forgetCaches(mount);
        await disk.fail({ op: 'read', nth: 2, count: null });
        const end = await node.run([...command, ...flags]);
        expect(await disk.hitCount()).toBeGreaterThan(0);
        await disk.fail(null);
        return end;
      };

      for (const command of [
        ['defrag', 'analyze'],
        ['defrag', 'start', '--dry-run', '--min-age', '0'],
        ['defrag', 'start', ...RUN],
        ['reclamation', 'run', '--wait'],
      ]) {
        const end = await whileUnreadable(command);
        const text = end.stdout + end.stderr;
        expect({ command, ...end }).toMatchObject({ code: ERR_KERNEL_EXIT });
        expect(text).toMatch(/\(EIO\)/);
        expect(text).toMatch(/Next: .*dmesg/);
        expect(text).not.toMatch(/Recommendation: (None|Consider|Recommended|Urgent)/);
        expect(text).not.toMatch(/Total extents: 0/);
        expect(text).not.toMatch(/unhandled|TypeError|\n {4}at /i);
      }
      await node.json('agent status', []);

      const { run } = await node.json('defrag status', flags);
      expect(run).toMatchObject({ state: 'failed', doneCount: 0, error: { code: 'ERR_KERNEL' } });
      forgetCaches(mount);
      const again = await node.json('defrag start', [...flags, ...RUN]);
      expect(again).toMatchObject({ run: { state: 'completed', failedCount: 0 } });
      // Btrfs moves the file of the spacers, too.
      if (again.dryRun) throw new Error('expected a run');
      expect(again.run?.doneCount).toBeGreaterThanOrEqual(24);
      forgetCaches(mount);
      expect(sha256Manifest(mount.mountPath)).toEqual(manifest);
    });
  },
);

function forgetCaches(mount: LoopMount): void {
  unmountInTime(mount);
  execFileSync('blockdev', ['--flushbufs', mount.devicePath]);
  mount.mount();
}
