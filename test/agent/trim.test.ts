/**
 * Trims that the agent begins by itself, and what their receipts say. What a disk gave up is taken
 * from the allocated blocks of its backing file, not from what dynamicfs says of itself.
 */

import { closeSync, openSync, readSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { beginTrim } from '../../src/cli/run-control.js';
import type { PolicyOverrides } from '../../src/domain/policy.js';
import type { Run } from '../../src/domain/runs.js';
import { MIB } from '../../src/domain/units.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import {
  expectIntact,
  type Lab,
  makeLab,
  until,
  untilOver,
  withAgent,
} from '../support/agent-lab.js';
import { type AgentProcess, runCommand } from '../support/agent-process.js';
import { addAndJudge, withQueues } from '../support/agent-queues.js';
import { allocatedBytesOf, backingFiles } from '../support/pool-fixture.js';

const HOUR_MS = 3_600_000;
const FILE_MAP_BYTES_MAX = 64 * 1024;

function pendingBytes(pool: ExtentPool): number[] {
  return pool.disks().map((disk) => disk.pendingBytes);
}

/** @returns what the tick reports. */
function tick(lab: Lab): Promise<{ reclamationId: number | null }> {
  return withQueues(lab, async (view) => {
    const job = await addAndJudge(view, 'policy-tick', { v: 1, poolId: lab.pool.id });
    return job.returnvalue;
  });
}

/** The agent has its disks open then, and does not look again which are there for a minute. */
async function untilDisksOpen(lab: Lab, agent: AgentProcess): Promise<void> {
  await tick(lab);
  expect((await fetch(`${agent.url()}/metrics`)).status).toBe(200);
}

function override(pool: ExtentPool, trim: NonNullable<PolicyOverrides['trim']>): void {
  const { policies } = pool.context.store;
  const { document } = policies.current();
  const overrides = { trim: { ...document.overrides.trim, ...trim } };
  policies.set({ ...document, overrides }, Date.now(), 'test');
}

function set(
  pool: ExtentPool,
  trim: NonNullable<PolicyOverrides['trim']>,
  lastTrimAtMs: number,
): void {
  override(pool, trim);
  pool.context.store.totals.set('trim_last_at_ms', lastTrimAtMs);
}

function expectReceipt(run: Run, pending: number): void {
  expect(run.progress).toMatchObject({ failedCount: 0, unsupportedCount: 0, doneBytes: pending });
  expect(run.progress.confirmedBytes).toBe(pending);
  expect(run.progress.reclaimedBytes).toBeLessThanOrEqual(pending);
}

it.each([
  { why: 'threshold', reason: /begins from 10/, trimIntensity: 'aggressive', lastTrimAgoMs: 0 },
  {
    why: 'schedule',
    reason: /begins after 1 d/,
    trimIntensity: 'balanced',
    lastTrimAgoMs: 25 * HOUR_MS,
  },
  {
    why: 'schedule',
    reason: /begins after 7 d/,
    trimIntensity: 'conservative',
    lastTrimAgoMs: 8 * 24 * HOUR_MS,
  },
] as const)('begins a trim by $why when $trimIntensity says so', async (when) => {
  const lab = await makeLab({ objectCount: 1 });
  const { pool } = lab;
  const pending = pendingBytes(pool).reduce((sum, one) => sum + one, 0);
  expect(pending).toBeGreaterThan(10 * MIB);
  set(pool, { enabled: false, intensity: when.trimIntensity }, Date.now());
  const before = backingFiles(pool).map(allocatedBytesOf);
  await withAgent(lab, async () => {
    set(pool, { enabled: false }, Date.now() - when.lastTrimAgoMs);
    expect(await tick(lab)).toMatchObject({ reclamationId: null });
    set(pool, { enabled: true }, Date.now() - when.lastTrimAgoMs);
    // Unless the agent's own tick of this minute came first.
    await tick(lab);
    const { runId } = await until('a trim', () => pool.context.store.runs.last('trim'));
    const run = await untilOver(pool, runId);
    expect(run).toMatchObject({ state: 'completed', trigger: 'reclamation' });
    const [reclamation] = pool.context.store.reclamations.recent(1);
    expect(reclamation).toMatchObject({ trigger: 'freed', actor: 'agent' });
    expect(reclamation?.reason).toMatch(when.reason);
    expectReceipt(run, pending);
    const freed = backingFiles(pool).map((path, n) => (before[n] ?? 0) - allocatedBytesOf(path));
    // The map of a file with more holes takes a block or two more, which the file system counts too.
    const offBytes = freed.reduce((sum, one) => sum + one, 0) - run.progress.reclaimedBytes;
    expect(Math.abs(offBytes)).toBeLessThanOrEqual(FILE_MAP_BYTES_MAX);
    expect(await tick(lab)).toMatchObject({ reclamationId: null });
  });
  expect(pendingBytes(pool)).toEqual([0, 0]);
  await expectIntact(lab);
});

it('begins none while little is pending and the last trim is young', async () => {
  const lab = await makeLab({ objectCount: 1 });
  await withAgent(lab, async () => {
    set(lab.pool, { enabled: true, intensity: 'balanced' }, Date.now() - HOUR_MS);
    expect(await tick(lab)).toMatchObject({ reclamationId: null });
  });
});

it('overwrites before it discards when secure erase is set', async () => {
  const lab = await makeLab({ objectCount: 1 });
  const { pool } = lab;
  override(pool, { enabled: false });
  const due = pool.context.store.disks.all().map((disk) => ({
    file: join(disk.path, 'dynamicfs.data'),
    runs: pool.context.store.discards.due(disk.diskId, Date.now()),
  }));
  await withAgent(lab, async () => {
    const intent = { disk: null, secureErase: true, trigger: 'manual' } as const;
    const run = await untilOver(pool, beginTrim(pool, intent).run.runId);
    expect(run).toMatchObject({ state: 'completed', secureErase: true });
  });
  for (const { file, runs } of due) {
    for (const { startBytes, lengthBytes } of runs) {
      expect(readAt(file, startBytes, lengthBytes).every((byte) => byte === 0)).toBe(true);
    }
  }
  await expectIntact(lab);
});

it('trims one disk only, by command, and leaves the other', async () => {
  const lab = await makeLab({ objectCount: 1 });
  const { pool } = lab;
  const [first] = pool.disks();
  const before = pendingBytes(pool);
  await withAgent(lab, async () => {
    const args = ['--pool', pool.path, '--disk', first?.path ?? '', '--json'];
    const end = await runCommand(['trim', 'now', ...args], lab.env);
    expect(end).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(end.stdout).run).toMatchObject({ state: 'completed', failedCount: 0 });
  });
  expect(pendingBytes(pool)).toEqual([0, before[1]]);
  await expectIntact(lab);
});

it('counts the pending space of a disk that is away as skipped, and keeps it', async () => {
  const lab = await makeLab({ objectCount: 1 });
  const { pool } = lab;
  const [first] = pool.disks();
  const before = pendingBytes(pool);
  override(pool, { enabled: false });
  const path = first?.path ?? '';
  renameSync(path, `${path}-away`);
  await withAgent(lab, async () => {
    const { run } = beginTrim(pool, { disk: null, secureErase: false, trigger: 'manual' });
    expect(await untilOver(pool, run.runId)).toMatchObject({
      state: 'completed',
      progress: { skippedCount: 1, doneBytes: before[1] },
    });
  });
  renameSync(`${path}-away`, path);
  expect(pendingBytes(pool)).toEqual([before[0], 0]);
  pool.context.refreshDisks();
  await expectIntact(lab);
});

it('keeps what a disk refused to discard, counts it, and lets it rest', async () => {
  const lab = await makeLab({ objectCount: 1 });
  const { pool } = lab;
  const before = pendingBytes(pool);
  override(pool, { enabled: false });
  const [file = ''] = backingFiles(pool);
  const trim = () =>
    untilOver(
      pool,
      beginTrim(pool, { disk: null, secureErase: false, trigger: 'manual' }).run.runId,
    );
  await withAgent(lab, async (agent) => {
    await untilDisksOpen(lab, agent);
    // A device, which has no holes to punch.
    renameSync(file, `${file}.away`);
    symlinkSync('/dev/null', file);
    try {
      const run = await trim();
      expect(run).toMatchObject({ state: 'completed', error: null });
      expect(run.progress.failedCount).toBeGreaterThan(0);
      expect(run.progress.doneBytes).toBe(before[1]);
      expect(run.progress.confirmedBytes).toBe(before[1]);
    } finally {
      rmSync(file);
      renameSync(`${file}.away`, file);
    }
    expect(pendingBytes(pool)).toEqual([before[0], 0]);
    const rest = await trim();
    expect(rest).toMatchObject({ state: 'completed', progress: { processedCount: 0 } });
    expect(pool.context.store.totals.read().trim_failures).toBeGreaterThan(0);
  });
  await expectIntact(lab);
});

it('fails, with the reason, when a whole disk refuses, and keeps its pending space', async () => {
  const lab = await makeLab({ objectCount: 1 });
  const { pool } = lab;
  const before = pendingBytes(pool);
  override(pool, { enabled: false });
  const [file = ''] = backingFiles(pool);
  await withAgent(lab, async (agent) => {
    await untilDisksOpen(lab, agent);
    renameSync(file, `${file}.away`);
    const { run } = beginTrim(pool, { disk: null, secureErase: false, trigger: 'manual' });
    expect(await untilOver(pool, run.runId)).toMatchObject({
      state: 'failed',
      error: { code: 'ERR_TARGET_NOT_FOUND' },
    });
    renameSync(`${file}.away`, file);
    expect(pendingBytes(pool)).toEqual(before);
  });
  await expectIntact(lab);
});

function readAt(path: string, startBytes: number, lengthBytes: number): Buffer {
  const fd = openSync(path, 'r');
  const bytes = Buffer.alloc(lengthBytes);
  readSync(fd, bytes, 0, lengthBytes, startBytes);
  closeSync(fd);
  return bytes;
}
