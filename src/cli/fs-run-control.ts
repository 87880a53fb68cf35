/** Begins runs on mounted file systems: the intent goes to SQLite, the agent finds the files. */

import type { Intensity } from '../domain/defrag-plan.js';
import { MaintenanceError } from '../domain/errors.js';
import type { FsRunOptions } from '../domain/fs-runs.js';
import type { Run, RunTrigger } from '../domain/runs.js';
import type { FsPool } from '../pool/fs-pool/fs-pool.js';
import { askGovernor, waitForNobody } from '../store/governor.js';
import { refuseDuringReclamation } from './run-control.js';

export interface FsDefragIntent {
  readonly intensity: Intensity;
  readonly threadCount: number;
  /** Do not go on with passes after this run. */
  readonly once: boolean;
  readonly options: FsRunOptions;
  readonly sloMs?: number | null;
}

/**
 * @returns the new run, or the open one with its pace changed.
 * @throws MaintenanceError ERR_TARGET_BUSY when the open one was asked for something else.
 */
export function beginFsDefrag(pool: FsPool, intent: FsDefragIntent): Run {
  const { store, clock } = pool.context;
  const { intensity, threadCount, once, options, sloMs } = intent;
  return store.transaction(() => {
    refuseDuringReclamation(pool);
    const open = store.runs.open('defrag');
    if (open && !isSame(store.options.get(open.runId), options)) throw otherRun(open);
    store.settings.write({
      defragEnabled: !once,
      defragIntensity: intensity,
      defragThreadCount: threadCount,
      defragNotBeforeMs: 0,
      ...(sloMs === undefined ? {} : { defragSloMs: sloMs }),
    });
    if (open) {
      askGovernor(store, open.runId, intensity, sloMs);
      store.runs.setIntensity(open.runId, intensity, threadCount);
      store.runs.setState(open.runId, 'running', clock(), null, '`defrag start`');
      return store.runs.get(open.runId) ?? open;
    }
    const runId = store.runs.insert({
      ...newRun('defrag', 'manual', clock()),
      intensity,
      threadCount,
    });
    store.options.set(runId, options);
    askGovernor(store, runId, intensity, sloMs);
    return store.runs.get(runId) as Run;
  });
}

/**
 * @param devicePath of several devices the one that is trimmed; null for all.
 * @returns the run, or the open one when a trim is under way already.
 */
export function beginFsTrim(
  pool: FsPool,
  intensity: Intensity,
  devicePath: string | null,
  sloMs: number | null,
): { run: Run; joined: boolean } {
  const { store, clock } = pool.context;
  return store.transaction(() => {
    const open = store.runs.open('trim');
    if (open) return { run: open, joined: true };
    const runId = store.runs.insert({
      ...newRun('trim', 'manual', clock()),
      intensity,
      threadCount: 1,
    });
    waitForNobody(store, runId, sloMs);
    if (devicePath !== null) store.trimDevices.limitTo(runId, devicePath);
    return { run: store.runs.get(runId) as Run, joined: false };
  });
}

/** What is to be done is not known before the agent has looked. */
function newRun(kind: 'defrag' | 'trim', trigger: RunTrigger, startedAtMs: number) {
  const nothing = { diskId: null, secureErase: false, plannedCount: 0, plannedBytes: 0 } as const;
  return { ...nothing, kind, trigger, startedAtMs };
}

function isSame(a: FsRunOptions, b: FsRunOptions): boolean {
  return (
    a.subtree === b.subtree &&
    a.verify === b.verify &&
    a.allowUnshare === b.allowUnshare &&
    a.quietMs === b.quietMs
  );
}

function otherRun({ runId }: Run): MaintenanceError {
  return new MaintenanceError('ERR_TARGET_BUSY', `run ${runId} is under way with other options`, {
    nextStep: 'Wait for it, or end it with `dynamicfs defrag stop`.',
  });
}
