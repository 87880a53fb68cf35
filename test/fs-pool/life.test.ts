/**
 * A mounted file system from `init` to `doctor`, through the real command line and agent.
 *
 * Strategy: real fragmentation on a loop device, contents by SHA-256 before and after.
 */

import { afterAll, describe, expect, it } from 'vitest';
import { CliNode } from '../support/cli-run.js';
import { fsNode, makeFiles, sha256Manifest } from '../support/fs-lab.js';
import { canMount, LOOP_FS_TYPES, LoopMount } from '../support/loop-mounts.js';

const node = new CliNode();
afterAll(() => node.stop());

describe.skipIf(!canMount).each(LOOP_FS_TYPES)('a mounted %s', (fsType) => {
  it('is registered, analysed, defragmented with its contents kept, and trimmed', async () => {
    using mount = new LoopMount(fsType);
    makeFiles(mount, 12);
    const before = sha256Manifest(mount.mountPath);
    const flags = ['--pool', mount.mountPath];

    const made = await node.json('init', flags);
    expect(made).toMatchObject({ kind: 'file-system', fsType, path: mount.mountPath, isNew: true });
    expect(await node.json('init', flags)).toMatchObject({ poolId: made.poolId, isNew: false });

    const worn = fsNode(await node.json('defrag analyze', [...flags, '--map']));
    expect(worn.fragmentedExtentCount).toBeGreaterThanOrEqual(12);
    expect(worn.worstFiles[0]?.path).toMatch(/^file-/);

    const start = ['--once', '--wait', '--intensity', 'high', '--min-age', '0'];
    const started = await node.json('defrag start', [...flags, ...start]);
    if (started.dryRun) throw new Error('expected a run');
    expect(started.run).toMatchObject({ state: 'completed', failedCount: 0, unverifiedCount: 0 });
    expect(started.run?.doneCount).toBeGreaterThanOrEqual(12);
    expect(sha256Manifest(mount.mountPath)).toEqual(before);

    const tidy = fsNode(await node.json('defrag analyze', flags));
    expect(tidy.files.fragmentCount).toBeLessThan(worn.files.fragmentCount);
    expect(tidy.fragmentedExtentCount).toBeLessThan(worn.fragmentedExtentCount);

    const trimmed = await node.json('trim now', [...flags, '--intensity', 'high']);
    expect(trimmed).toMatchObject({ dryRun: false, run: { state: 'completed', failedCount: 0 } });
    expect(sha256Manifest(mount.mountPath)).toEqual(before);

    const { findings } = await node.json('doctor', flags);
    expect(findings.filter(({ layer }) => layer === 'defrag').length).toBeGreaterThan(0);
    const call = {
      ext4: 'MOVE_EXT',
      xfs: /COMMIT_RANGE|SWAPEXT|DEDUPERANGE/,
      btrfs: 'DEFRAG_RANGE',
    }[fsType];
    expect(findings.map(({ what }) => what).join()).toMatch(call);

    expect(await node.json('status', flags)).toMatchObject({
      condition: 'online',
      openMoveCount: 0,
    });
  });
});
