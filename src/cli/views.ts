/** From the engine's terms to those of `--json`. */

import { estimatedRemainingMs, type Run } from '../domain/runs.js';
import type { DiskInfo, ExtentPool } from '../pool/extent-pool/extent-pool.js';
import type { MaintainedPool } from '../pool/maintained-pool.js';
import { pauseOfRun } from '../pool/pauses.js';
import { governorView } from './governor-view.js';
import type { DiskView, Output, RunView } from './schemas.js';

export function runView(pool: MaintainedPool, run: Run): RunView {
  const { store } = pool.context;
  const { runId, kind, state, trigger, intensity, startedAtMs, endedAtMs, error, progress } = run;
  return {
    runId,
    kind,
    state,
    trigger,
    intensity,
    threads: run.threadCount,
    startedAtMs,
    endedAtMs,
    ...progress,
    estimatedRemainingMs: remainingMs(run),
    exclusions: store.candidates.exclusions(runId),
    error: error && { ...error, details: { ...error.details } },
    pause: pauseOfRun(pool.context, runId),
  };
}

/** A paused run has no pace: only whoever paused it knows when it goes on. */
function remainingMs(run: Run): number | null {
  return run.state === 'paused' ? null : estimatedRemainingMs(run);
}

export function diskView({ uuid, ...rest }: DiskInfo): DiskView {
  return { diskId: uuid, ...rest };
}

export function defragStatus(pool: MaintainedPool): Output<'defrag status'> {
  const { store } = pool.context;
  const settings = pool.context.settings();
  const open = store.runs.open('defrag');
  const run = open ?? store.runs.last('defrag');
  const evacuation = store.runs.open('evacuate');
  return {
    schemaVersion: 1,
    enabled: settings.defragEnabled,
    running: open !== null,
    paused: open?.state === 'paused',
    intensity: open?.intensity ?? settings.defragIntensity,
    threads: open?.threadCount ?? settings.defragThreadCount,
    extentsProcessed: run?.progress.processedCount ?? 0,
    extentsDefragmented: run?.progress.doneCount ?? 0,
    bytesMoved: run?.progress.doneBytes ?? 0,
    errors: run?.progress.failedCount ?? 0,
    startedAtMs: run?.startedAtMs ?? null,
    lastRunAtMs: run?.endedAtMs ?? null,
    estimatedRemainingMs: open && remainingMs(open),
    run: run && runView(pool, run),
    evacuation: evacuation && runView(pool, evacuation),
    governor: governorView(pool, 'defrag'),
  };
}

export function trimStatus(pool: ExtentPool): Output<'trim status'> {
  const { store } = pool.context;
  const totals = store.totals.read();
  const policy = store.policies.effective();
  const space = store.disks.all().map((disk) => store.space.totals(disk.diskId));
  const run = store.runs.open('trim') ?? store.runs.last('trim');
  return {
    schemaVersion: 1,
    operations: totals.trim_operations,
    requestedBytes: totals.trim_bytes_requested,
    confirmedBytes: totals.trim_bytes_confirmed,
    reclaimedBytes: totals.trim_bytes_reclaimed,
    ranges: totals.trim_ranges,
    failures: totals.trim_failures,
    unsupported: totals.trim_unsupported,
    pendingBytes: space.reduce((sum, disk) => sum + disk.pendingBytes + disk.discardingBytes, 0),
    pendingRanges: space.reduce((sum, disk) => sum + disk.pendingRunCount, 0),
    lastTrimAtMs: totals.trim_last_at_ms || null,
    enabled: policy.enabled && policy.trim.enabled,
    intensity: policy.trim.intensity,
    batchBytes: policy.trim.batchBytes,
    secureErase: policy.trim.secureErase,
    run: run && runView(pool, run),
    governor: governorView(pool, 'trim'),
    devices: null,
  };
}

type ExtentStatus = Extract<Output<'status'>, { kind: 'extent' }>;

export function poolStatus(pool: ExtentPool, audit: boolean): ExtentStatus {
  const { store, poolId, extentBytes } = pool.context;
  const objects = store.objects.totals();
  return {
    schemaVersion: 1,
    kind: 'extent',
    poolId,
    path: pool.path,
    extentBytes,
    replicaCount: pool.context.settings().replicaCount,
    objectCount: objects.objectCount,
    fileCount: objects.fileCount,
    contentBytes: objects.sizeBytes,
    disks: pool.disks().map(diskView),
    openRuns: store.runs.openRuns().map((run) => runView(pool, run)),
    governor: governorView(pool),
    owner: store.owner.read()?.holder ?? null,
    auditProblems: audit ? [...pool.audit().problems] : null,
  };
}
