/** What ticks record of a mounted file system: its space as it is, its fragmentation as old as it is. */

import { statfsSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import type { TrendFigures } from '../../src/domain/trends.js';
import { MIB } from '../../src/domain/units.js';
import { registerMount } from '../../src/pool/fs-pool/register.js';
import { FsPoolWork } from '../../src/processors/fs-pool-work.js';
import { makeFiles } from '../support/fs-lab.js';
import { canMount, LoopMount } from '../support/loop-mounts.js';
import { tempDirectory } from '../support/temp-directory.js';

const FILE_COUNT = 8;

describe.skipIf(!canMount)('of a mounted ext4 a tick records', () => {
  let work: FsPoolWork | null = null;
  afterEach(async () => {
    await work?.close();
    work = null;
  });

  function open(mount: LoopMount): FsPoolWork {
    const stateDirectory = tempDirectory('trends');
    const { registered } = registerMount(stateDirectory, mount.mountPath, Date.now());
    work = new FsPoolWork(stateDirectory, registered);
    return work;
  }

  async function tick(of: FsPoolWork): Promise<TrendFigures | null> {
    await of.tick();
    const days = of.pool.context.store.trends.points('day', 0, Date.now());
    return days.at(-1)?.figures ?? null;
  }

  it('space of now, and no fragmentation before the first analysis', async () => {
    using mount = new LoopMount('ext4');
    const opened = open(mount);
    const before = await tick(opened);
    expect(before).toMatchObject({ fragmentationRatio: null, analyzedAtMs: null, pendingBytes: 0 });
    writeFileSync(mount.path('file'), Buffer.alloc(8 * MIB, 1), { flush: true });
    const { blocks, bfree, bsize } = statfsSync(mount.mountPath);
    const after = await tick(opened);
    expect(after).toMatchObject({
      capacityBytes: blocks * bsize,
      usedBytes: (blocks - bfree) * bsize,
      freeBytes: bfree * bsize,
    });
    expect((after?.usedBytes ?? 0) - (before?.usedBytes ?? 0)).toBeGreaterThanOrEqual(8 * MIB);
    await work?.close();
    work = null;
  });

  it('the fragmentation of the last analysis with its time, and makes no new one', async () => {
    using mount = new LoopMount('ext4');
    const opened = open(mount);
    const analysis = await opened.analyze();
    makeFiles(mount, FILE_COUNT);
    const { fragmentationRatio, analyzedAtMs } = analysis;
    expect(await tick(opened)).toMatchObject({ fragmentationRatio, analyzedAtMs });
    const again = await opened.analyze();
    expect(again.fragmentationRatio).toBeGreaterThan(fragmentationRatio);
    expect(await tick(opened)).toMatchObject({
      fragmentationRatio: again.fragmentationRatio,
      analyzedAtMs: again.analyzedAtMs,
    });
    await work?.close();
    work = null;
  });

  it('nothing while it is not mounted', async () => {
    using mount = new LoopMount('ext4');
    const opened = open(mount);
    mount.unmount();
    expect(await tick(opened)).toBeNull();
    mount.mount();
    expect(await tick(opened)).not.toBeNull();
    await work?.close();
    work = null;
  });
});
