/**
 * `--json`: every command's output fits its schema, and says all that the text says.
 *
 * Strategy: each command runs for real, as text and as JSON, and the text is made again from the
 * JSON by the same renderer. Equal means that nothing in the text is missing from the data.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { agentStatusText } from '../../src/cli/agent-views.js';
import { diskHealthText } from '../../src/cli/disk-health.js';
import { mapText } from '../../src/cli/map-text.js';
import { reclamationStatusText } from '../../src/cli/reclamation-text.js';
import { beginDefrag } from '../../src/cli/run-control.js';
import { setDefragPaused, setScrubPaused } from '../../src/cli/run-pause.js';
import { OUTPUT_SCHEMAS } from '../../src/cli/schemas.js';
import { beginScrub } from '../../src/cli/scrub-control.js';
import { scrubText } from '../../src/cli/scrub-text.js';
import { isUtf8 } from '../../src/cli/sparkline.js';
import {
  analysisText,
  defragStatusText,
  disksText,
  forecastText,
  statusText,
  trimNowText,
  trimStatusText,
} from '../../src/cli/text.js';
import { extentsText, jobsText, jobText, objectsText } from '../../src/cli/text-lists.js';
import { trendsText } from '../../src/cli/trends-text.js';
import { ExtentPoolGround } from '../../src/pool/extent-pool/reclamation-ground.js';
import { beginReclamation, setReclamationPaused } from '../../src/pool/reclamation.js';
import { type CliPool, emptyPool, fragmentedPool } from '../support/cli-pools.js';
import { CliNode, ofExtents } from '../support/cli-run.js';
import { closePool, openPool } from '../support/pool-fixture.js';

const node = new CliNode();
const seen = new Set<string>();
let pool: CliPool;
let flags: string[];

beforeAll(async () => {
  pool = await fragmentedPool({ diskCount: 2 });
  flags = ['--pool', pool.path];
});

afterAll(async () => {
  await node.stop();
});

const json: CliNode['json'] = (id, args, code) => {
  seen.add(id);
  return node.json(id, args, code);
};

describe('without an agent', () => {
  it('init, disk add', async () => {
    const made = await json('init', ['-p', join(node.directory, 'new'), '--replicas', '2']);
    expect(made).toMatchObject({ extentBytes: 4 << 20, replicaCount: 2 });
    const disk = join(node.directory, 'd');
    const added = await json('disk add', ['-p', made.path, '--disk', disk, '--capacity', '32M']);
    expect(added.disk).toMatchObject({ path: disk, tier: 'warm', capacityBytes: 32 << 20 });
  });

  it('put, ls, extent list, get, rm', async () => {
    const { path } = await emptyPool();
    const source = join(node.directory, 'source');
    mkdirSync(source);
    writeFileSync(join(source, 'a'), 'some text');
    const put = await json('put', ['-p', path, source]);
    expect(put).toMatchObject({ storedCount: 2, storedBytes: 9, failed: [], unsupported: {} });

    const list = await json('ls', ['-p', path]);
    expect(await node.text('ls', '-p', path)).toBe(`${objectsText(list.objects)}\n`);
    expect(list.objects.map(({ name }) => name)).toEqual(['source', 'source/a']);

    const listed = await json('extent list', ['-p', path]);
    expect(await node.text('extent', 'list', '-p', path)).toBe(`${extentsText(listed.extents)}\n`);

    const destination = join(node.directory, 'back');
    const got = await json('get', ['-p', path, 'source', destination]);
    expect(got).toMatchObject({ objectCount: 2, readBytes: 9, failed: [] });
    const again = await json('get', ['-p', path, 'source', destination], 64);
    expect(again.failed).toMatchObject([{ name: 'source/a', error: { code: 'ERR_TARGET_BUSY' } }]);

    const removed = await json('rm', ['-p', path, 'source', '-r']);
    expect(removed).toMatchObject({ objectCount: 2, freedBytes: 4096 });
  });

  it('disk list, disk health, status --audit', async () => {
    const { disks } = ofExtents(await json('disk list', flags));
    expect(await node.text('disk', 'list', ...flags)).toBe(`${disksText(disks)}\n`);
    const health = await json('disk health', flags);
    expect(health.disks.map(({ state }) => state)).toEqual(['healthy', 'healthy']);
    expect(await node.text('disk', 'health', ...flags)).toBe(`${diskHealthText(health)}\n`);
    const status = ofExtents(await json('status', [...flags, '--audit']));
    expect(status.auditProblems).toEqual([]);
    expect(await node.text('status', '--audit', ...flags)).toBe(`${statusText(status)}\n`);
  });

  it('defrag analyze --map', async () => {
    const analysis = await json('defrag analyze', [...flags, '--map']);
    if (!('maps' in analysis) || !analysis.maps || analysis.kind !== 'extent')
      throw new Error('expected figures and maps');
    const text = `${analysisText(analysis)}\n\n${mapText(analysis.maps, false)}\n`;
    expect(await node.text('defrag', 'analyze', '--map', ...flags)).toBe(text);
    expect(analysis.fragmentedExtentCount).toBeGreaterThan(0);
  });

  it('trim now --dry-run', async () => {
    const forecast = await json('trim now', [...flags, '--dry-run']);
    if (!forecast.dryRun) throw new Error('expected a forecast');
    expect(await node.text('trim', 'now', '-n', ...flags)).toBe(`${forecastText(forecast)}\n`);
    expect((await json('trim status', flags)).operations).toBe(0);
  });

  it('policy set, show, validate', async () => {
    const { path } = await emptyPool();
    const set = await json('policy set', ['-p', path, '--policy', 'aggressive']);
    expect(await json('policy show', ['-p', path])).toEqual(set);
    const file = join(node.directory, 'policy.yaml');
    writeFileSync(file, 'preset: aggressive');
    const { effective } = await json('policy validate', [file]);
    expect(effective).toEqual(set.effective);
  });

  it('trim set', async () => {
    const settings = await json('trim set', [...flags, '--intensity', 'conservative']);
    expect(settings).toMatchObject({ enabled: true, intensity: 'conservative' });
  });

  it('reclamation trends', async () => {
    const view = await json('reclamation trends', flags);
    const text = trendsText(view, isUtf8(node.env));
    expect(await node.text('reclamation', 'trends', ...flags)).toBe(`${text}\n`);
  });

  it('agent status, agent stop', async () => {
    const status = await json('agent status', [], 26);
    const text = await node.run(['agent', 'status']);
    expect(text).toMatchObject({ code: 26, stdout: `${agentStatusText(status)}\n` });
    expect((await json('agent stop', [])).running).toBe(false);
  });

  it('recover', async () => {
    const { disks } = await emptyPool();
    const recovered = join(node.directory, 'recovered');
    const report = await json('recover', ['-p', recovered, '--disk', disks[0] ?? '']);
    expect(report).toMatchObject({ objectCount: 0, incompleteObjects: [], missingDisks: [] });
  });
});

describe('with an agent', () => {
  it('agent start', async () => {
    const status = await json('agent start', []);
    expect(status).toMatchObject({ running: true, pid: expect.any(Number) });
    expect(await node.text('agent', 'status')).toBe(`${agentStatusText(status)}\n`);
  });

  it('defrag pause, resume, status, stop', async () => {
    // Begun and paused in one transaction: an agent that is quick must not end it first.
    const open = openPool(pool.path);
    open.context.store.transaction(() => {
      beginDefrag(open, { intensity: 'low', threadCount: 1, once: true });
      setDefragPaused(open, true);
    });
    await closePool(open);
    const paused = await json('defrag pause', flags);
    expect(paused).toMatchObject({ running: true, paused: true });
    const status = await json('defrag status', flags);
    expect(await node.text('defrag', 'status', ...flags)).toBe(`${defragStatusText(status)}\n`);
    expect(await json('defrag resume', flags)).toMatchObject({ paused: false });
    expect(await json('defrag stop', flags)).toMatchObject({ enabled: false, running: false });
  });

  it('defrag start, with and without --wait', async () => {
    const [first, second] = [await fragmentedPool(), await fragmentedPool()];
    const started = await json('defrag start', ['-p', first.path, '--intensity', 'low']);
    expect(started).toMatchObject({ intensity: 'low', threads: 1, run: { state: 'running' } });
    const args = ['-p', second.path, '--intensity', 'high', '--once', '--wait'];
    const done = await json('defrag start', args);
    if (done.dryRun) throw new Error('expected a run');
    expect(done.run).toMatchObject({ state: 'completed', failedCount: 0 });
    expect((await json('defrag status', ['-p', second.path])).enabled).toBe(false);
  });

  it('scrub start, status, stop, pause, resume', async () => {
    const args = [...flags, '--repair', '--intensity', 'high', '--wait'];
    const done = await json('scrub start', args);
    expect(done).toMatchObject({ running: false, repair: true, replicasBad: 0, badReplicas: [] });
    expect(done.replicasVerified).toBe(done.run?.plannedCount);
    const status = await json('scrub status', flags);
    expect(await node.text('scrub', 'status', ...flags)).toBe(`${scrubText(status)}\n`);
    // Begun and paused in one transaction: an agent that is quick must not end it first.
    const open = openPool(pool.path);
    const intent = { repair: false, intensity: 'low', threadCount: 1, fromStart: true } as const;
    open.context.store.transaction(() => {
      beginScrub(open, null, intent);
      setScrubPaused(open, true);
    });
    await closePool(open);
    expect(await json('scrub pause', flags)).toMatchObject({ running: true, paused: true });
    expect(await json('scrub resume', flags)).toMatchObject({ paused: false });
    expect(await json('scrub stop', flags)).toMatchObject({
      running: false,
      run: { kind: 'scrub' },
    });
  });

  it('trim now, status, stop', async () => {
    const trimmed = await json('trim now', flags);
    if (trimmed.dryRun) throw new Error('expected a run');
    expect(trimNowText(trimmed)).toMatch(/^TRIM completed\n {2}Bytes reclaimed: [1-9]/);
    const status = await json('trim status', flags);
    const text = await node.text('trim', 'status', ...flags);
    // The time since then is all that may differ.
    const ago = (seconds: string) => seconds.replace(/\d+ seconds ago/, 'N seconds ago');
    expect(ago(text)).toBe(ago(`${trimStatusText(status, Date.now())}\n`));
    expect((await json('trim stop', flags)).run?.state).toBe('completed');
  });

  it('jobs list, show, retry, cancel', async () => {
    const { jobs } = await json('jobs list', [...flags, '--state', 'completed']);
    const text = await node.text('jobs', 'list', '--state', 'completed', ...flags);
    expect(text).toBe(`${jobsText(jobs)}\n`);
    const jobId = jobs.find((job) => job.jobId.startsWith('run-'))?.jobId ?? '';
    const { job } = await json('jobs show', [...flags, jobId]);
    expect(await node.text('jobs', 'show', jobId, ...flags)).toBe(`${jobText(job)}\n`);
    expect(await node.failure(['jobs', 'retry', jobId, ...flags])).toMatchObject({
      code: 'ERR_POLICY_REFUSED',
      exitCode: 14,
    });
    expect(await node.failure(['jobs', 'cancel', jobId, ...flags])).toMatchObject({
      code: 'ERR_POLICY_REFUSED',
      exitCode: 14,
    });
  });

  it('jobs cancel refuses a job of a schedule', async () => {
    const { jobs } = await node.json('jobs list', [...flags, '--state', 'delayed']);
    const jobId = jobs.find((job) => job.jobId.startsWith('repeat:'))?.jobId ?? '';
    const refused = await node.failure(['jobs', 'cancel', jobId, ...flags]);
    expect(refused).toMatchObject({ code: 'ERR_POLICY_REFUSED', exitCode: 14 });
  });

  it('reclamation run, pause, resume, stop, status, policy explain', async () => {
    const shown = async () => {
      const view = await json('reclamation status', flags);
      const text = reclamationStatusText(view, Date.now(), isUtf8(node.env));
      const printed = await node.text('reclamation', 'status', ...flags);
      // What is so long ago goes on.
      const still = (lines: string) => lines.replaceAll(/\d+m?s ago/g, 'ago').trimEnd();
      expect(still(printed)).toBe(still(text));
      return view;
    };
    const { reclamation } = await json('reclamation run', [...flags, '--wait']);
    expect(reclamation).toMatchObject({ state: 'completed', trigger: 'manual', failedCount: 0 });
    expect(await shown()).toMatchObject({ open: null, recent: [{ state: 'completed' }] });

    // Begun and paused at once: nothing of it is done before the commands are asked.
    const begin = async () => {
      const open = openPool(pool.path);
      const ground = new ExtentPoolGround(open.context);
      open.context.store.transaction(() => {
        const request = {
          trigger: 'manual',
          scope: null,
          reason: 'a test',
          actor: 'test',
        } as const;
        beginReclamation(ground, request);
        setReclamationPaused(ground, true);
      });
      await closePool(open);
    };
    await begin();
    const paused = await json('reclamation pause', [...flags, '--reason', 'lunch']);
    expect(paused.reclamation).toMatchObject({ state: 'paused', pause: { reason: 'lunch' } });
    expect(await json('reclamation status', flags)).toMatchObject({ open: { state: 'paused' } });
    expect((await json('reclamation stop', flags)).reclamation.state).toBe('stopped');
    await begin();
    expect((await json('reclamation resume', flags)).reclamation.state).not.toBe('paused');
    await json('policy explain', flags);
  });

  it('defrag analyze --background', async () => {
    const queued = await json('defrag analyze', [...flags, '--background']);
    expect(queued).toMatchObject({ jobId: expect.any(String) });
  });

  it('disk remove', async () => {
    const disk = pool.disks[1] ?? '';
    const refused = await node.failure(['disk', 'remove', ...flags, '--disk', disk]);
    expect(refused).toMatchObject({ code: 'ERR_POLICY_REFUSED', exitCode: 14 });
    const { path, disks } = await emptyPool({ diskCount: 2 });
    const removed = await json('disk remove', ['-p', path, '--disk', disks[0] ?? '']);
    expect(removed).toMatchObject({ removed: true, path: disks[0], run: { state: 'completed' } });
  });
});

it('was asked of every command that has a schema', () => {
  // What is of mounted file systems only is in test/fs-pool; the ledger and the editor have tests of their own.
  const elsewhere = [
    'history',
    'history verify',
    'policy edit',
    'trim pause',
    'trim resume',
    'doctor',
  ];
  const untested = new Set(['error', 'jobs retry', 'jobs cancel', ...elsewhere]);
  const missing = Object.keys(OUTPUT_SCHEMAS).filter((id) => !seen.has(id) && !untested.has(id));
  expect(missing).toEqual([]);
});
