/** The governor of an extent pool, whose disk lies on a loop device that another program reads from. */

import { afterAll, expect, it } from 'vitest';
import { KIB, MIB } from '../../src/domain/units.js';
import { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { beginRun, makeNode, register, runOf, until } from '../support/agent-lab.js';
import { type AgentProcess, spawnAgent } from '../support/agent-process.js';
import { canMount, LoopMount } from '../support/loop-mounts.js';
import {
  content,
  expectSound,
  fragmentFreeSpace,
  inventory,
  putFiles,
} from '../support/pool-fixture.js';
import { makeReadable, SteadyReads } from '../support/steady-reads.js';

let agent: AgentProcess | null = null;
afterAll(() => agent?.stop());

it.skipIf(!canMount)(
  'a run of an extent pool gives way while another program reads, and goes on to its end afterwards',
  async () => {
    using mount = new LoopMount('ext4', { sizeBytes: 1024 * MIB });
    makeReadable(mount.path('readable'));
    const pool = ExtentPool.create(mount.path('pool'), { extentBytes: MIB, replicaCount: 1 });
    try {
      pool.addDisk(mount.path('disk'), { capacityBytes: 256 * MIB });
      await fragmentFreeSpace(pool, 256 * KIB);
      const files = Array.from({ length: 48 }, (_, n) => [`data/${n}`, content(n, MIB)] as const);
      await putFiles(pool, Object.fromEntries(files));
      pool.remove('filler/even', true);
      const before = await inventory(pool);
      const { stateDirectory, env } = makeNode({ DYNAMICFS_GOVERNOR: 'on' });
      register(stateDirectory, pool);
      agent = spawnAgent(env);
      await agent.ready();
      const governor = () => pool.context.store.governor.status();

      await using _reads = new SteadyReads(mount.path('readable'));
      const { runId } = beginRun(pool, { intensity: 'medium' });
      const paused = await until('the governor pauses', () => {
        const status = governor();
        return status?.state === 'paused' ? status : null;
      });
      expect(paused.bounds).toEqual({ sloMs: null, pauseOnHighLoad: true, intensity: 'medium' });
      expect(runOf(pool, runId)).toMatchObject({ state: 'running' });
      // Begun before anything could be seen, it would be over by now.
      expect(runOf(pool, runId).progress.doneCount).toBeLessThan(24);
      await _reads[Symbol.asyncDispose]();

      const ended = await until('the run has ended', () => {
        const run = runOf(pool, runId);
        return run.state === 'running' ? null : run;
      });
      expect(ended).toMatchObject({ state: 'completed', progress: { failedCount: 0 } });
      await agent.stop();
      agent = null;
      expect(await inventory(pool)).toEqual(before);
      expectSound(pool);
    } finally {
      await agent?.stop();
      agent = null;
      await pool.close();
    }
  },
);
