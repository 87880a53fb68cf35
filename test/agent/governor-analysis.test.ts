/** An analysis by the agent gives way as a run does, since it reads all tables of a file system. */

import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
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

/** Its inodes are large, so that its tables are: what a scan reads of them. */
const LARGE = { sizeBytes: 4096 * MIB, mkfsArgs: ['-I', '1024'] };
const DIRECTORY_COUNT = 30;
const FILES_EACH = 1_000;

/**
 * ext4 puts each directory of its root into another group of blocks, and a scan reads group by group.
 *
 * So many that whoever only yields, since the disk has a moment now and then, is at it far longer than a
 * test waits: a processor that others use takes such moments from the reader, and the disk is idle.
 */
function makeSpread(mount: LoopMount): void {
  for (let n = 0; n < DIRECTORY_COUNT; n += 1) {
    mkdirSync(mount.path(`directory-${n}`));
    for (let file = 0; file < FILES_EACH; file += 1) {
      closeSync(openSync(mount.path(`directory-${n}/${file}`), 'w'));
    }
  }
}

/** Whoever is only about to read is not seen by who looks now. */
async function untilAtWork({ devicePath }: LoopMount): Promise<void> {
  const atFirst = readCount(devicePath);
  await until('the other program reads', () => readCount(devicePath) > atFirst + 1_000);
}

/** Source: Documentation/block/stat.rst. */
function readCount(devicePath: string): number {
  const stat = readFileSync(`/sys/class/block/${basename(devicePath)}/stat`, 'utf8');
  return Number(stat.trim().split(/\s+/)[0]);
}

/** A pool that nobody has analysed, and what tells whether somebody has. */
async function makeLargePool(mount: LoopMount) {
  makeSpread(mount);
  makeReadable(mount.path('readable'));
  mount.remount();
  const pool = ['--pool', mount.mountPath];
  const { poolId } = await node.json('init', pool);
  const path = join(node.stateDirectory, 'pools', poolId, 'pool.sqlite');
  const store = new FsPoolStore(path, { readonly: true });
  return {
    pool,
    isAnalysed: () => Boolean(store.settings.read().lastAnalysis),
    [Symbol.dispose]: () => store.close(),
  };
}

it.skipIf(!canMount)(
  'an analysis in the background waits for another program that keeps the disk busy',
  async () => {
    using mount = new LoopMount('ext4', LARGE);
    using large = await makeLargePool(mount);
    await using _reads = new SteadyReads(mount.path('readable'));
    await untilAtWork(mount);
    await node.json('defrag analyze', [...large.pool, '--background']);
    await sleep(5_000);
    expect(large.isAnalysed()).toBe(false);
    await _reads[Symbol.asyncDispose]();
    await until('it was analysed', large.isAnalysed);
  },
);

it.skipIf(!canMount)('an agent that ends does not wait for an analysis that waits', async () => {
  using mount = new LoopMount('ext4', LARGE);
  // Before there is a pool: an agent analyses a new one by itself, and would before anybody reads.
  await node.text('agent', 'stop');
  using large = await makeLargePool(mount);
  await using _reads = new SteadyReads(mount.path('readable'));
  await untilAtWork(mount);
  await node.json('defrag analyze', [...large.pool, '--background']);
  await sleep(2_000);
  await node.text('agent', 'stop');
  expect(large.isAnalysed()).toBe(false);
  await _reads[Symbol.asyncDispose]();
  // The next one does it.
  await node.json('jobs list', large.pool);
  await until('the next one analysed it', large.isAnalysed);
});
