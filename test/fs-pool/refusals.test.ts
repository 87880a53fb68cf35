/** What cannot be done with a mount says so, names the next step, and changes nothing. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CliNode } from '../support/cli-run.js';
import { fsNode, makeFiles } from '../support/fs-lab.js';
import { canMount, LoopMount } from '../support/loop-mounts.js';
import { tempDirectory } from '../support/temp-directory.js';

const node = new CliNode();
let mount: LoopMount;
let flags: string[];

describe.skipIf(!canMount)('a mounted file system', () => {
  beforeAll(() => {
    mount = new LoopMount('ext4');
    makeFiles(mount, 4);
    flags = ['--pool', mount.mountPath];
  });
  afterAll(() => mount.remove());

  it('is analysed and planned without being registered', async () => {
    const analysis = fsNode(await node.json('defrag analyze', flags));
    expect(analysis).toMatchObject({ poolId: null, fsType: 'ext4' });
    expect(analysis.reclaimableBytes).toBeGreaterThan(0);
    expect(analysis.disks[0]?.reclaimableBytes).toBe(analysis.reclaimableBytes);
    const plan = await node.json('defrag start', [...flags, '--dry-run', '--min-age', '0']);
    if (!plan.dryRun) throw new Error('expected a plan');
    expect(plan.fileCount).toBeGreaterThanOrEqual(4);
    expect(plan.fragmentsAfter).toBeLessThan(plan.fragmentsBefore);
    const refused = await node.failure(['defrag', 'start', ...flags]);
    expect(refused).toMatchObject({ code: 'ERR_NOT_A_POOL', exitCode: 21 });
    expect(refused.nextStep).toContain('dynamicfs init --pool');
  });

  it('counts what a plan skips, by reason', async () => {
    const plan = await node.json('defrag start', [...flags, '--dry-run', '--min-age', '86400']);
    if (!plan.dryRun) throw new Error('expected a plan');
    expect(plan.fileCount).toBe(0);
    // The file that keeps the pieces apart is preallocated and has no bytes.
    expect(Object.fromEntries(plan.skipped.map(({ reason, count }) => [reason, count]))).toEqual({
      'just-written': 4,
      contiguous: 1,
    });
  });

  it('limits work to a path, which cannot lead out of it', async () => {
    const outside = tempDirectory('outside');
    writeFileSync(join(outside, 'x'), 'x');
    symlinkSync(outside, mount.path('way-out'));
    mkdirSync(mount.path('empty'), { recursive: true });
    const inside = await node.json('defrag analyze', [...flags, '--path', 'file-00']);
    expect(inside).toMatchObject({ extentCount: 1, subtree: 'file-00' });
    const empty = [...flags, '--path', mount.path('empty')];
    expect(await node.json('defrag analyze', empty)).toMatchObject({ extentCount: 0 });
    for (const path of ['way-out', 'way-out/x', '..', '/etc', outside]) {
      const refused = await node.jsonFailure(['defrag', 'analyze', ...flags, '--path', path]);
      expect({ path, code: refused.code }).toEqual({ path, code: 'ERR_USAGE' });
    }
    const nothing = await node.jsonFailure(['defrag', 'analyze', ...flags, '--path', 'nothing']);
    expect(nothing.code).toBe('ERR_TARGET_NOT_FOUND');
  });

  it('prints names that are no text escaped', async () => {
    const name = Buffer.concat([
      Buffer.from(`${mount.mountPath}/`),
      Buffer.from([0xff, 0x0a, 0x78]),
    ]);
    execFileSync('cp', [mount.path('file-00'), mount.path('copy')]);
    const moved = Buffer.from(mount.path('file-01'));
    const { renameSync } = await import('node:fs');
    renameSync(moved, name);
    const text = await node.text('defrag', 'analyze', ...flags);
    expect(text).toContain('\\xff\\nx');
    const { worstFiles } = fsNode(await node.json('defrag analyze', flags));
    expect(worstFiles).toContainEqual(expect.objectContaining({ path: null, pathHex: 'ff0a78' }));
  });

  it.each([
    ['put', '/etc/hostname'],
    ['get', 'x', '/tmp/x'],
    ['ls'],
    ['rm', 'x'],
    ['extent', 'list'],
    ['disk', 'add', '--disk', '/tmp/x'],
    ['disk', 'remove', '--disk', '/tmp/x'],
  ])('refuses %s', async (...args) => {
    const refused = await node.jsonFailure([...args, ...flags]);
    expect(refused).toMatchObject({ code: 'ERR_UNSUPPORTED', exitCode: 12 });
    expect(refused.nextStep).toContain('through the mount itself');
  });

  it('cannot be one of an unsupported type', async () => {
    const directory = tempDirectory('tmpfs');
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', directory]);
    try {
      writeFileSync(join(directory, 'x'), 'some text');
      for (const command of [
        ['init', '--filesystem'],
        ['defrag', 'analyze'],
        ['trim', 'now'],
      ]) {
        const refused = await node.jsonFailure([...command, '--pool', directory]);
        expect({ command, code: refused.code }).toEqual({ command, code: 'ERR_UNSUPPORTED' });
      }
    } finally {
      execFileSync('umount', [directory]);
    }
  });
});
