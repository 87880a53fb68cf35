/** Begins, stops, pauses and resumes runs: the intent goes to SQLite, then the queue is told. */

import type { Intensity } from '../domain/defrag-plan.js';
import { MaintenanceError } from '../domain/errors.js';
import { WHOLE_SCOPE } from '../domain/reclamation.js';
import type { Run, RunTrigger } from '../domain/runs.js';
import type { ExtentPool } from '../pool/extent-pool/extent-pool.js';
import { beginEvacuation, findDisk } from '../pool/extent-pool/remove-disk.js';
import type { MaintainedPool } from '../pool/maintained-pool.js';
import type { DiskRow } from '../store/disks.js';
import { askGovernor, waitForNobody } from '../store/governor.js';

/** @param once do not go on with a pass every minute after this run. */
export interface DefragIntent {
  readonly intensity: Intensity;
  readonly threadCount: number;
  readonly once: boolean;
  /** Mean latency that others may have; absent or null for no such goal. */
  readonly sloMs?: number | null;
}

/** @returns the run, or null when nothing is fragmented now; passes begin one when something is. */
export function beginDefrag(pool: ExtentPool, intent: DefragIntent): Run | null {
  const { store, clock } = pool.context;
  const { intensity, threadCount, once, sloMs } = intent;
  return store.transaction(() => {
    refuseDuringReclamation(pool);
    store.settings.write({
      defragEnabled: !once,
      defragIntensity: intensity,
      defragThreadCount: threadCount,
      defragNotBeforeMs: 0,
      ...(sloMs === undefined ? {} : { defragSloMs: sloMs }),
    });
    const open = store.runs.open('defrag');
    if (open) {
      askGovernor(store, open.runId, intensity, sloMs);
      store.runs.setIntensity(open.runId, intensity, threadCount);
      store.runs.setState(open.runId, 'running', clock(), null, '`defrag start`');
      return store.runs.get(open.runId);
    }
    const planned = store.candidates.planFragmented(WHOLE_SCOPE);
    if (planned.count === 0) return null;
    const runId = store.runs.insert({
      ...({ kind: 'defrag', trigger: 'manual', intensity, threadCount } as const),
      diskId: null,
      secureErase: false,
      startedAtMs: clock(),
      plannedCount: planned.count,
      plannedBytes: planned.bytes,
    });
    askGovernor(store, runId, intensity, sloMs);
    return store.runs.get(runId);
  });
}

/** Its run has the tier and pace of its step. @throws MaintenanceError ERR_TARGET_BUSY. */
export function refuseDuringReclamation({ context }: MaintainedPool): void {
  const { runs, reclamations } = context.store;
  const run = runs.open('defrag');
  const reclamationId = run && reclamations.ofRun(run.runId);
  if (reclamationId === null) return;
  throw new MaintenanceError(
    'ERR_TARGET_BUSY',
    `reclamation ${reclamationId} is defragmenting ${context.path}`,
    {
      nextStep:
        'Wait for it (`dynamicfs reclamation status`), or end it: `dynamicfs reclamation stop`.',
    },
  );
}

/** Turns passes off and ends the open run after the extents under way. @returns the run it ended. */
export function stopDefrag(pool: MaintainedPool): Run | null {
  const { store, clock } = pool.context;
  return store.transaction(() => {
    store.settings.write({ defragEnabled: false });
    const open = store.runs.open('defrag');
    if (open) store.runs.setState(open.runId, 'stopped', clock());
    return open;
  });
}

/** Begins the evacuation of a disk, or finds the one that is under way. @throws as `beginEvacuation`. */
export function beginRemoveDisk(pool: ExtentPool, disk: DiskRow): Run {
  const { store, clock } = pool.context;
  return store.transaction(() => {
    const open = store.runs.open('evacuate');
    if (open && open.diskId === disk.diskId) return open;
    if (open) {
      throw new MaintenanceError('ERR_TARGET_BUSY', 'another disk is being removed', {
        nextStep: 'Wait until it is gone: `dynamicfs disk list`.',
      });
    }
    beginEvacuation(pool.context, disk);
    const planned = store.candidates.planOnDisk(disk.diskId);
    const runId = store.runs.insert({
      kind: 'evacuate',
      trigger: 'evacuation',
      intensity: 'high',
      threadCount: 2,
      diskId: disk.diskId,
      secureErase: false,
      startedAtMs: clock(),
      plannedCount: planned.count,
      plannedBytes: planned.bytes,
    });
    return store.runs.get(runId) as Run;
  });
}

/** Ends an evacuation; what has moved stays where it is, and the disk takes new data again. */
export function cancelRemoveDisk(pool: ExtentPool, disk: DiskRow): Run | null {
  const { store, clock } = pool.context;
  return store.transaction(() => {
    const open = store.runs.open('evacuate');
    store.disks.setEvacuating(disk.diskId, false);
    if (open?.diskId !== disk.diskId) return null;
    store.runs.setState(open.runId, 'stopped', clock());
    return store.runs.get(open.runId);
  });
}

export interface TrimIntent {
  /** Path or id of one disk; null for all. */
  readonly disk: string | null;
  readonly secureErase: boolean;
  readonly trigger: RunTrigger;
  readonly sloMs?: number | null;
}

/** @returns the run, or the open one's id when a trim is under way already. */
export function beginTrim(pool: ExtentPool, intent: TrimIntent): { run: Run; joined: boolean } {
  const { store, clock } = pool.context;
  const disk = intent.disk === null ? null : findDisk(pool.context, intent.disk);
  return store.transaction(() => {
    const open = store.runs.open('trim');
    if (open) return { run: open, joined: true };
    const disks = disk ? [disk] : store.disks.all();
    const due = disks.map((one) => store.discards.dueTotals(one.diskId, clock()));
    const runId = store.runs.insert({
      kind: 'trim',
      trigger: intent.trigger,
      intensity: 'medium',
      threadCount: 1,
      diskId: disk?.diskId ?? null,
      secureErase: intent.secureErase || store.policies.effective().trim.secureErase,
      startedAtMs: clock(),
      plannedCount: due.reduce((sum, one) => sum + one.runCount, 0),
      plannedBytes: due.reduce((sum, one) => sum + one.bytes, 0),
    });
    if (intent.trigger === 'manual') waitForNobody(store, runId, intent.sloMs);
    return { run: store.runs.get(runId) as Run, joined: false };
  });
}

/** Ends the open trim after the batch under way. */
export function stopTrim(pool: MaintainedPool): Run | null {
  const { store, clock } = pool.context;
  return store.transaction(() => {
    const open = store.runs.open('trim');
    if (open) store.runs.setState(open.runId, 'stopped', clock());
    return open;
  });
}
