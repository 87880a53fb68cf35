/**
 * Trims through the command line and agent, by what their devices make of them: one that refuses,
 * two of which one is meant, and two agents that want the same one. And a trim that is cut off.
 */

import { execFileSync } from 'node:child_process';
import { rmSync, statSync } from 'node:fs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { MIB } from '../../src/domain/units.js';
import { tryLockDirectory } from '../../src/kernel/file-lock.js';
import { whileHeld } from '../../src/pool/fs-pool/mount-hold.js';
import { until } from '../support/agent-lab.js';
import { spawnAgent } from '../support/agent-process.js';
import { CliNode } from '../support/cli-run.js';
import { FaultDisk, hasNbdfuse } from '../support/fault-disk.js';
import { canMount, LoopMount } from '../support/loop-mounts.js';
import { tempDirectory } from '../support/temp-directory.js';
import { TrimLab } from '../support/trim-lab.js';

/** Each is a dozen commands, and a command is a start of Node. */
vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });

const ENOTSUP = 95;
const SIZE_BYTES = { ext4: 96 * MIB, xfs: 320 * MIB };
const MKFS = { ext4: ['mkfs.ext4', '-qF', '-b', '4096'], xfs: ['mkfs.xfs', '-qf'] } as const;

const nodes: CliNode[] = [];
function newNode(): CliNode {
  const node = new CliNode();
  nodes.push(node);
  return node;
}
afterEach(async () => {
  for (const node of nodes.splice(0)) await node.stop();
});

async function trimNow(node: CliNode, args: string[], code = 0) {
  const trimmed = await node.json('trim now', args, code);
  if (trimmed.dryRun) throw new Error('expected a run');
  return trimmed;
}

describe.skipIf(!canMount || !hasNbdfuse).each(['ext4', 'xfs'] as const)(
  'a device under %s that refuses discards',
  (fsType) => {
    it('is unsupported from the first one on: nothing is claimed, and it is said why', async () => {
      const node = newNode();
      await using disk = await FaultDisk.start(SIZE_BYTES[fsType]);
      const [program, ...args] = MKFS[fsType];
      execFileSync(program, [...args, disk.imagePath], { stdio: 'pipe' });
      using mount = new LoopMount(fsType, { imagePath: disk.imagePath });
      await disk.fail({ op: 'trim', nth: 1, count: null, errno: ENOTSUP });
      const flags = ['--pool', mount.mountPath];
      await node.json('init', flags);

      const { run, devices } = await trimNow(node, flags, 12);

      expect(await disk.hitCount()).toBeGreaterThan(0);
      expect(run).toMatchObject({
        state: 'failed',
        error: { code: 'ERR_UNSUPPORTED' },
        doneCount: 0,
        failedCount: 0,
        doneBytes: 0,
        confirmedBytes: 0,
        reclaimedBytes: 0,
      });
      expect(run.unsupportedCount).toBeGreaterThan(0);
      expect(devices).toMatchObject([{ path: mount.devicePath, takesDiscards: false }]);
      expect(await node.json('trim status', flags)).toMatchObject({
        confirmedBytes: 0,
        reclaimedBytes: 0,
        failures: 0,
        unsupported: run.unsupportedCount,
      });
      // Now the queue says so, and nothing is queued any more.
      const refused = await node.jsonFailure(['trim', 'now', ...flags]);
      expect(refused).toMatchObject({ code: 'ERR_UNSUPPORTED', exitCode: 12 });
      expect(refused.nextStep).toContain('dynamicfs doctor');
      const { findings } = await node.json('doctor', flags, 1);
      expect(findings[0]).toMatchObject({ severity: 'problem', layer: mount.devicePath.slice(5) });
    });
  },
);

describe.skipIf(!canMount)('a Btrfs of two devices', () => {
  it('is trimmed on the one that is named, with a receipt for each', async () => {
    const lab = new TrimLab('btrfs', {
      deviceCount: 2,
      sizeBytes: 256 * MIB,
      mkfsArgs: ['-d', 'single', '-m', 'raid1'],
    });
    const node = newNode();
    try {
      const { mount } = lab;
      for (let index = 0; index < 24; index += 1) lab.writeFile(`file-${index}`, 8 * MIB);
      for (let index = 0; index < 24; index += 2) rmSync(mount.path(`file-${index}`));
      execFileSync('sync', ['-f', mount.mountPath]);
      const manifest = lab.manifest();
      const held = () => mount.imagePaths.map((path) => statSync(path).blocks * 512);
      const [firstPath = '', secondPath = ''] = mount.devicePaths;
      const flags = ['--pool', mount.mountPath];
      await node.json('init', flags);
      const all = await node.json('trim now', [...flags, '--dry-run']);
      const one = await node.json('trim now', [...flags, '--dry-run', '--disk', firstPath]);
      if (!all.dryRun || !one.dryRun) throw new Error('expected a forecast');
      expect(one.disks[0]).toMatchObject({ path: firstPath });
      expect(one.disks[0]?.requestedBytes).toBeLessThan(all.disks[0]?.requestedBytes ?? 0);

      const analysis = await node.json('defrag analyze', flags);
      if (!('kind' in analysis)) throw new Error('expected a file system');
      const [first = 0, second = 0] = analysis.disks.map((disk) => disk.reclaimableBytes ?? 0);
      expect(Math.min(first, second)).toBeGreaterThan(0);
      expect(first).toBeLessThanOrEqual(one.disks[0]?.requestedBytes ?? 0);
      expect(first + second).toBeLessThanOrEqual(analysis.reclaimableBytes ?? 0);

      const before = held();
      const part = await trimNow(node, [...flags, '--disk', firstPath]);
      const between = held();
      const whole = await trimNow(node, flags);

      // Others' writes make it a little less, and what lies in no chunk went with the first.
      const receipt = (of: typeof part, path: string) =>
        of.devices?.find((device) => device.path === path)?.confirmedBytes ?? 0;
      expect(part.run).toMatchObject({ state: 'completed', failedCount: 0 });
      expect(receipt(part, firstPath)).toBeGreaterThan(16 * MIB);
      expect(receipt(part, firstPath)).toBeLessThan((before[0] ?? 0) - (between[0] ?? 0) + MIB);
      expect(receipt(whole, secondPath)).toBeGreaterThan(16 * MIB);
      expect(receipt(whole, secondPath)).toBeLessThan((between[1] ?? 0) - (held()[1] ?? 0) + MIB);
      const refused = await node.jsonFailure(['trim', 'now', ...flags, '--disk', '/dev/null']);
      expect(refused).toMatchObject({ code: 'ERR_TARGET_NOT_FOUND', exitCode: 10 });
      expect(refused.nextStep).toContain(secondPath);
      expect(lab.manifest()).toEqual(manifest);
    } finally {
      await node.stop();
      await lab.remove();
    }
  });
});

describe.skipIf(!canMount)('two agents on one file system', () => {
  it('exclude each other, and the second is told whose it is', async () => {
    using mount = new LoopMount('ext4', { sizeBytes: 64 * MIB });
    const [first, second] = [newNode(), newNode()];
    const flags = ['--pool', mount.mountPath];
    for (const node of [first, second]) await node.json('init', flags);
    await trimNow(first, flags);

    for (const command of [
      ['trim', 'now'],
      ['defrag', 'start', '--once'],
    ]) {
      const refused = await second.jsonFailure([...command, ...flags]);
      expect(refused).toMatchObject({ code: 'ERR_TARGET_BUSY', exitCode: 11 });
      expect(refused.message).toContain(String(first.env.DYNAMICFS_STATE_DIR));
      expect(refused.nextStep).toContain('dynamicfs agent stop');
    }
    await second.json('agent start', []);
    expect((await second.json('status', flags)) as object).toMatchObject({ owner: null });

    // A second mount of it is a pool of its own, of the same agent.
    const bound = tempDirectory('bound');
    execFileSync('mount', ['--bind', mount.mountPath, bound]);
    try {
      await first.json('init', ['--pool', bound]);
      expect((await trimNow(first, ['--pool', bound])).run).toMatchObject({ state: 'completed' });
    } finally {
      await first.stop();
      execFileSync('umount', [bound]);
    }
    expect((await trimNow(second, flags)).run).toMatchObject({ state: 'completed' });
    await second.stop();
  });

  it('do not work at the same time where they see nothing of each other but the mount', async () => {
    using mount = new LoopMount('ext4', { sizeBytes: 64 * MIB });
    const hold = <T>(step: () => Promise<T>) => whileHeld(mount.mountPath, step);
    const other = tryLockDirectory(mount.mountPath);
    await expect(hold(async () => 1)).rejects.toMatchObject({ code: 'ERR_TARGET_BUSY' });
    other?.release();
    // Steps of one agent share it; afterwards it is free, and nothing keeps the mount busy.
    const sum = await hold(async () => 1 + (await hold(async () => 1)));
    expect(sum).toBe(2);
    mount.remount();
  });
});

describe.skipIf(!canMount)('a trim whose agent is killed in its middle', () => {
  it('stays paused over the next start, and goes on at its cursor when it is resumed', async () => {
    // Sparse, with as many windows as GiB.
    using mount = new LoopMount('xfs', { sizeBytes: 6 * 1024 * MIB });
    const node = newNode();
    const flags = ['--pool', mount.mountPath];
    const status = async () => (await node.json('trim status', flags)).run;
    await node.json('init', flags);
    const agent = spawnAgent({ ...node.env, DYNAMICFS_CRASH_AT: 'trim-window-stored:3' });
    await agent.ready();
    const cutOff = node.run(['trim', 'now', ...flags]);
    expect((await agent.ended()).signal).toBe('SIGKILL');
    expect(await status()).toMatchObject({ state: 'running', processedCount: 3, doneCount: 3 });

    await node.json('trim pause', flags);
    await node.json('agent start', []);
    await until('the agent has it', async () => (await node.json('status', flags)).owner !== null);
    expect(await status()).toMatchObject({ state: 'paused', processedCount: 3 });
    await node.json('trim resume', flags);
    const run = await until('it is over', async () => {
      const now = await status();
      return now?.endedAtMs == null ? null : now;
    });

    // The first three windows are known to be trimmed: left out, or not looked at again.
    expect(run).toMatchObject({ state: 'completed', failedCount: 0 });
    expect(run.doneCount).toBe(6);
    await cutOff;
    expect((await trimNow(node, flags)).run).toMatchObject({ doneCount: 0, skippedCount: 6 });
    expect(await node.jsonFailure(['trim', 'pause', ...flags])).toMatchObject({ exitCode: 10 });
    await node.stop();
  });
});
