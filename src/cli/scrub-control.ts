/** Begins, stops, pauses and resumes scrubs, and says what they found. */

import type { Intensity } from '../domain/defrag-plan.js';
import { MaintenanceError } from '../domain/errors.js';
import type { Run } from '../domain/runs.js';
import type { ExtentPool } from '../pool/extent-pool/extent-pool.js';
import type { DiskRow } from '../store/disks.js';
import { findNamedDisk, withPool } from './pool-access.js';
import { linkQueue } from './queue-link.js';
import { setScrubPaused } from './run-pause.js';
import type { Output } from './schemas.js';
import { runView } from './views.js';
import { waitForRun } from './wait-for-run.js';

/** As many as fit a screen or two; --json has all that are kept. */
const FINDINGS_SHOWN = 100;

export interface ScrubIntent {
  readonly repair: boolean;
  readonly intensity: Intensity;
  readonly threadCount: number;
  /** Not where a stopped one ended. */
  readonly fromStart: boolean;
}

export interface ScrubOptions extends ScrubIntent {
  readonly disk: string | null;
  readonly wait: boolean;
  readonly quiet: boolean;
  readonly note: (message: string) => void;
}

export interface BegunScrub {
  readonly run: Run;
  readonly continuesRunId: number | null;
}

/**
 * Begins a scrub, goes on where the last one was stopped, or changes the one that is open.
 *
 * @throws MaintenanceError ERR_TARGET_BUSY while one of other disks is open.
 */
export function beginScrub(
  pool: ExtentPool,
  disk: DiskRow | null,
  { repair, intensity, threadCount, fromStart }: ScrubIntent,
): BegunScrub {
  const { store, clock } = pool.context;
  const diskId = disk?.diskId ?? null;
  return store.transaction(() => {
    const open = store.runs.open('scrub');
    if (open) {
      if (open.diskId !== diskId) throw otherScrub(open);
      store.runs.setIntensity(open.runId, intensity, threadCount);
      store.runs.setState(open.runId, 'running', clock(), null, '`scrub start`');
      store.scrubs.setRepairs(open.runId, repair);
      return { run: store.runs.get(open.runId) ?? open, continuesRunId: null };
    }
    const last = store.runs.last('scrub');
    const goesOn = !fromStart && last?.state === 'stopped' && last.diskId === diskId;
    const cursor = goesOn ? (store.scrubs.get(last.runId)?.cursorExtentId ?? 0) : 0;
    const planned = store.scrubs.plan(cursor, diskId);
    const runId = store.runs.insert({
      kind: 'scrub',
      trigger: 'manual',
      intensity,
      threadCount,
      diskId,
      secureErase: false,
      startedAtMs: clock(),
      plannedCount: planned.count,
      plannedBytes: planned.bytes,
    });
    store.scrubs.insert(runId, repair, cursor);
    const continuesRunId = goesOn && cursor > 0 ? last.runId : null;
    return { run: store.runs.get(runId) as Run, continuesRunId };
  });
}

export function startScrub(
  poolPath: string,
  options: ScrubOptions,
): Promise<Output<'scrub start'>> {
  return withPool(poolPath, 'write', async (pool) => {
    const disk = options.disk === null ? null : findNamedDisk(pool, options.disk);
    const link = await linkQueue(pool, options.note);
    try {
      const { run, continuesRunId } = beginScrub(pool, disk, options);
      const jobId = await link.enqueue(run.runId);
      if (options.wait) await waitForRun(pool, run.runId, options.quiet);
      return { ...scrubStatus(pool), jobId, continuesRunId };
    } finally {
      await link.close();
    }
  });
}

/** Ends the open scrub; the next one goes on from there. @returns null when none is open. */
export function stopScrub(pool: ExtentPool): Run | null {
  const { store, clock } = pool.context;
  return store.transaction(() => {
    const open = store.runs.open('scrub');
    if (open) store.runs.setState(open.runId, 'stopped', clock());
    return open;
  });
}

export async function resumeScrub(
  pool: ExtentPool,
  note: (message: string) => void,
): Promise<void> {
  const link = await linkQueue(pool, note);
  try {
    const run = setScrubPaused(pool, false);
    await link.enqueue(run.runId);
  } finally {
    await link.close();
  }
}

/** Of the scrub that is open, or of the last one. */
export function scrubStatus(pool: ExtentPool): Output<'scrub status'> {
  const { store } = pool.context;
  const open = store.runs.open('scrub');
  const run = open ?? store.runs.last('scrub');
  const scrub = run && store.scrubs.get(run.runId);
  return {
    schemaVersion: 1,
    running: open !== null,
    paused: open?.state === 'paused',
    intensity: run?.intensity ?? null,
    repair: scrub?.repairs ?? false,
    replicasVerified: (run?.progress.doneCount ?? 0) + (run?.progress.failedCount ?? 0),
    bytesVerified: run?.progress.doneBytes ?? 0,
    replicasBad: run?.progress.failedCount ?? 0,
    replicasRepaired: scrub?.repairedCount ?? 0,
    replicasUnrepairable: scrub?.unrepairableCount ?? 0,
    replicasSkipped: run?.progress.skippedCount ?? 0,
    run: run && runView(pool, run),
    badReplicas: store.repairs.named(FINDINGS_SHOWN).map((bad) => ({
      object: bad.objectName,
      extentIndex: bad.extentIndex,
      extentId: bad.extentId,
      diskPath: bad.diskPath,
      reason: bad.reason,
      atMs: bad.seenAtMs,
      held: bad.held,
      failedRepairs: bad.failureCount,
    })),
    findings: store.repairs.findings(FINDINGS_SHOWN).map(({ objectName, ...rest }) => ({
      object: objectName,
      ...rest,
    })),
  };
}

function otherScrub({ runId }: Run): MaintenanceError {
  return new MaintenanceError('ERR_TARGET_BUSY', `scrub ${runId} of other disks is under way`, {
    nextStep: 'Wait for it, or end it with `dynamicfs scrub stop`.',
  });
}
