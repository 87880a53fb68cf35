/**
 * The governor on real loop devices: another program begins to read, and the run gives way; it ends,
 * and the run goes on to its own end with all contents kept.
 *
 * The device is the test's alone, so that only this program can be seen on it. Figures of latency are
 * bench/foreground.mjs's.
 */

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, it } from 'vitest';
import { MIB } from '../../src/domain/units.js';
import { FsPoolStore } from '../../src/store/fs-pool-store.js';
import { until } from '../support/agent-lab.js';
import { CliNode } from '../support/cli-run.js';
import { makeFiles, sha256Manifest } from '../support/fs-lab.js';
import { canMount, LOOP_FS_TYPES, LoopMount } from '../support/loop-mounts.js';
import { makeReadable, SteadyReads } from '../support/steady-reads.js';

// Off in all other tests, which share their disk with each other.
process.env.DYNAMICFS_GOVERNOR = 'on';

const node = new CliNode();
afterAll(() => node.stop());

/** Generous, for a machine with other work; the domain's tests say 300 ms. */
const SEEN_MS_MAX = 5_000;
/** The longest rest for one piece of work: docs/governor.md. */
const REST_MS_MAX = 30_000;

it.skipIf(!canMount).each(LOOP_FS_TYPES)(
  'a run on %s gives way while another program reads, and goes on to its end afterwards',
  async (fsType) => {
    using mount = new LoopMount(fsType, { sizeBytes: 1024 * MIB });
    makeFiles(mount, 24, MIB);
    const readable = mount.path('readable');
    makeReadable(readable);
    mount.remount();
    const before = sha256Manifest(mount.mountPath);
    const pool = ['--pool', mount.mountPath];
    const { poolId } = await node.json('init', pool);
    const how = ['--once', '--intensity', 'medium', '--min-age', '0'];
    const started = await node.json('defrag start', [...pool, ...how]);
    const runId = started.dryRun ? 0 : (started.run?.runId ?? 0);
    const file = join(node.stateDirectory, 'pools', poolId, 'pool.sqlite');
    const store = new FsPoolStore(file, { readonly: true });
    try {
      const now = () => ({ ...store.governor.status(), run: store.runs.get(runId) });
      const reached = (...states: string[]) =>
        until(`the governor is ${states.join(' or ')}`, () => {
          if (now().run?.state !== 'running') throw new Error('the run ended too soon');
          const seen = now();
          return states.includes(seen.state ?? '') ? seen : null;
        });
      await reached('full');

      await using _reads = new SteadyReads(readable);
      const startedAtMs = performance.now();
      await reached('yielding', 'paused');
      expect(performance.now() - startedAtMs).toBeLessThan(SEEN_MS_MAX);
      const paused = await reached('paused');
      expect(paused).toMatchObject({ paceRatio: 0, bounds: { pauseOnHighLoad: true } });
      expect(paused.foregroundPerSec).toBeGreaterThan(20);
      const { governor } = await node.json('defrag status', pool);
      expect(['yielding', 'paused']).toContain(governor?.state);
      expect(await node.text('status', ...pool)).toMatch(/Governor: (yielding|paused), /);
      const movedBytes = now().run?.progress.doneBytes ?? 0;
      await sleep(1_000);
      expect((now().run?.progress.doneBytes ?? 0) - movedBytes).toBeLessThanOrEqual(MIB);

      // Somebody waits for this one: it has its own pace, and pauses for nobody.
      const askedAtMs = performance.now();
      const trim = await node.json('trim now', pool);
      expect(trim).toMatchObject({ run: { state: 'completed', failedCount: 0 } });
      expect(performance.now() - askedAtMs).toBeLessThan(REST_MS_MAX);
      expect(now().run).toMatchObject({ state: 'running' });
      await _reads[Symbol.asyncDispose]();

      const ended = await until('the run has ended', () => {
        const { run } = now();
        return run?.state === 'running' ? null : run;
      });
      expect(ended).toMatchObject({ state: 'completed', progress: { failedCount: 0 } });
      const { fullPaceMs, heldMs } = ended.progress;
      expect(fullPaceMs).toBeGreaterThan(0);
      expect(heldMs).toBeGreaterThan(1_000);
      expect(sha256Manifest(mount.mountPath)).toEqual(before);
      expect(await node.json('status', pool)).toMatchObject({ openMoveCount: 0, governor: null });
    } finally {
      store.close();
    }
  },
);
