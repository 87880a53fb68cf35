/** An analysis by the agent gives way as a run does, since it reads all tables of a file system. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, it } from 'vitest';
import { MIB } from '../../src/domain/units.js';
import { FsPoolStore } from '../../src/store/fs-pool-store.js';
import { until } from '../support/agent-lab.js';
import { CliNode } from '../support/cli-run.js';
import { canMount, LoopMount } from '../support/loop-mounts.js';
import { makeReadable, SteadyReads } from '../support/steady-reads.js';

process.env.DYNAMICFS_GOVERNOR = 'on';

const node = new CliNode();
afterAll(() => node.stop());

/** ext4 puts each directory of its root into another group of blocks, and a scan reads group by group. */
function makeSpread(mount: LoopMount): void {
  for (let n = 0; n < 30; n += 1) {
    mkdirSync(mount.path(`directory-${n}`));
    writeFileSync(mount.path(`directory-${n}/file`), Buffer.alloc(MIB, n));
  }
}

it.skipIf(!canMount)(
  'an analysis in the background waits for another program that keeps the disk busy',
  async () => {
    using mount = new LoopMount('ext4', { sizeBytes: 4096 * MIB });
    makeSpread(mount);
    makeReadable(mount.path('readable'));
    mount.remount();
    const pool = ['--pool', mount.mountPath];
    const { poolId } = await node.json('init', pool);
    const file = join(node.stateDirectory, 'pools', poolId, 'pool.sqlite');
    const store = new FsPoolStore(file, { readonly: true });
    try {
      const isAnalysed = () => Boolean(store.settings.read().lastAnalysis);
      await using _reads = new SteadyReads(mount.path('readable'));
      await node.json('defrag analyze', [...pool, '--background']);
      await sleep(5_000);
      expect(isAnalysed()).toBe(false);
      await _reads[Symbol.asyncDispose]();
      await until('it was analysed', () => isAnalysed() || null);
    } finally {
      store.close();
    }
  },
);

it.skipIf(!canMount)('an agent that ends does not wait for an analysis that waits', async () => {
  using mount = new LoopMount('ext4', { sizeBytes: 4096 * MIB });
  makeSpread(mount);
  makeReadable(mount.path('readable'));
  mount.remount();
  const pool = ['--pool', mount.mountPath];
  await node.json('init', pool);
  await using _reads = new SteadyReads(mount.path('readable'));
  await node.json('defrag analyze', [...pool, '--background']);
  await sleep(2_000);
  await node.text('agent', 'stop');
  await _reads[Symbol.asyncDispose]();
  // The next one does it.
  const { governor } = await node.json('status', pool);
  expect(governor).toBeNull();
});
