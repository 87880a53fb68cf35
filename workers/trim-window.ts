/**
 * Piscina task: trim one window of a mounted file system, in calls short enough for its other users,
 * and look what came of it.
 *
 * FITRIM's own number proves nothing: XFS names the whole range even where the device refuses every
 * discard. Confirmed is by how much the file behind a loop device shrank; held is what that file
 * still has for space that the file system does not use.
 */

import { statfsSync } from 'node:fs';
import { asMaintenanceError, MaintenanceError } from '../src/domain/errors.js';
import {
  bytesOfRuns,
  nextPaceBytes,
  pauseAfterMs,
  STEP_BYTES_FIRST,
  stepEndByGroup,
  stepEndByRuns,
} from '../src/domain/trim-steps.js';
import type { TrimmedWindow, TrimWindowOutcome, TrimWindowTask } from '../src/domain/trim-tasks.js';
import type { ByteRun } from '../src/domain/units.js';
import { allocatedBytes, discardedBytes, waitForDiscards } from '../src/kernel/discard-counters.js';
import { ext4Groups } from '../src/kernel/ext4-groups.js';
import { keepTrimMinimum } from '../src/kernel/ext4-trim-minimum.js';
import { trimRange } from '../src/kernel/fitrim.js';
import { freeRuns } from '../src/kernel/free-space.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { heldBytes } from './held-bytes.js';
import { openMount } from './mounted-directory.js';
import { Pace } from './move-pace.js';
import { settle } from './settle.js';
import { type Measured, refusedBy, windowReceipt } from './trim-receipt.js';

export default (task: TrimWindowTask) => settle(() => trimWindow(task));

/** @returns an outcome for what the kernel refuses, too: the next window may work. */
export function trimWindow(task: TrimWindowTask, trim = trimRange): TrimWindowOutcome {
  const progress = { atBytes: task.window.startBytes };
  try {
    using mount = openMount(task.mountPath, task.mountId);
    const outcome = trimInSteps(mount.file, task, progress, trim);
    // A device that refuses is found out by its first discard, which the file system does not tell.
    const { devices } = outcome;
    if (devices.length === 0 || devices.some((device) => device.takesDiscards)) return outcome;
    return { kind: 'unsupported', error: takesNone(task).toWire(), devices };
  } catch (cause) {
    const error = asMaintenanceError(cause);
    if (error.code === 'ERR_UNSUPPORTED') {
      const devices = task.devices.map(refusedBy);
      return { kind: 'unsupported', error: takesNone(task).toWire(), devices };
    }
    return { kind: 'failed', error: error.toWire(), nextBytes: progress.atBytes };
  }
}

function takesNone({ mountPath, devices }: TrimWindowTask): MaintenanceError {
  const names = devices.map(({ name }) => name).join(', ') || 'what it lies on';
  return new MaintenanceError(
    'ERR_UNSUPPORTED',
    `${mountPath} cannot be trimmed: ${names} takes no discards`,
    {
      nextStep: `See \`dynamicfs doctor --pool ${mountPath}\`: it names the layer that drops them.`,
    },
  );
}

function trimInSteps(
  file: OpenFile,
  task: TrimWindowTask,
  progress: { atBytes: number },
  trim: typeof trimRange,
): TrimmedWindow {
  const { window } = task;
  const startedAtMs = performance.now();
  const endBytes = window.startBytes + window.lengthBytes;
  const runs = task.fsType === 'xfs' || task.fsType === 'ext4' ? freeRuns(file, window).runs : null;
  const before = measure(file, task, runs);
  const stepEnd = stepEnder(task, runs, endBytes);
  let paceBytes = task.paceBytes ?? STEP_BYTES_FIRST;
  let requestedBytes = 0;
  let stepCount = 0;
  let longestStepMs = 0;
  const pace = new Pace(task.stopFlag);

  while (progress.atBytes < endBytes && !isStopped(task)) {
    const run = { startBytes: progress.atBytes, lengthBytes: 0 };
    run.lengthBytes = stepEnd(run.startBytes, paceBytes) - run.startBytes;
    const stepAtMs = performance.now();
    const bytes = trimStep(file, task, run, runs, trim);
    const stepMs = performance.now() - stepAtMs;
    requestedBytes += bytes;
    stepCount += 1;
    longestStepMs = Math.max(longestStepMs, stepMs);
    progress.atBytes += run.lengthBytes;
    paceBytes = nextPaceBytes(paceBytes, bytes, stepMs);
    pause(pauseAfterMs(bytes, stepMs), task);
    pace.breathe();
  }

  return {
    kind: 'trimmed',
    requestedBytes,
    ...windowReceipt(task.devices, before, measure(file, task, runs), requestedBytes),
    nextBytes: progress.atBytes,
    stepCount,
    longestStepMs,
    durationMs: performance.now() - startedAtMs,
    paceBytes,
  };
}

/**
 * XFS returns when its discards are on their way, and names the whole run: so wait until the device
 * is done, and count what is free in the run.
 */
function trimStep(
  file: OpenFile,
  task: TrimWindowTask,
  run: ByteRun,
  runs: Float64Array | null,
  trim: typeof trimRange,
): number {
  const [device] = task.devices;
  if (task.fsType === 'ext4' && device) {
    const keepMinimum = keepTrimMinimum(device.name);
    try {
      return trim(file, run, task.minLengthBytes);
    } finally {
      keepMinimum();
    }
  }
  if (task.fsType !== 'xfs' || !runs || !device) return trim(file, run, task.minLengthBytes);
  const freeBytes = bytesOfRuns(runs, run, task.minLengthBytes);
  const goalBytes = discardedBytes(device.name) + freeBytes;
  const requestedBytes = trim(file, run, task.minLengthBytes);
  waitForDiscards(device.name, goalBytes);
  return Math.min(requestedBytes, freeBytes);
}

function stepEnder(
  { fsType, mountPath, minLengthBytes }: TrimWindowTask,
  runs: Float64Array | null,
  endBytes: number,
): (atBytes: number, paceBytes: number) => number {
  if (fsType === 'ext4') {
    const { groupBytes, originBytes } = ext4Groups(statfsSync(mountPath).bsize);
    return (at) => stepEndByGroup(at, endBytes, groupBytes, originBytes);
  }
  // Part of a chunk of Btrfs cannot be asked for, and what is not known needs no pace.
  if (fsType !== 'xfs' || !runs) return () => endBytes;
  const granularityBytes = Math.max(minLengthBytes, statfsSync(mountPath).bsize);
  return (at, pace) => stepEndByRuns(runs, at, endBytes, pace, granularityBytes);
}

/** Of each device. */
function measure(file: OpenFile, task: TrimWindowTask, runs: Float64Array | null): Measured[] {
  const held = heldBytes(file, task, runs);
  return task.devices.map(({ name, backing }, index) => ({
    discardedBytes: discardedBytes(name),
    backingBytes: backing ? allocatedBytes(backing.path) : null,
    heldBytes: held[index] ?? null,
  }));
}

function isStopped({ stopFlag }: TrimWindowTask): boolean {
  return stopFlag !== null && Atomics.load(stopFlag, 0) === 1;
}

const nobody = new Int32Array(new SharedArrayBuffer(4));

/** Ends at once when the run is stopped, if who stops it calls Atomics.notify. */
function pause(ms: number, { stopFlag }: TrimWindowTask): void {
  if (ms > 0) Atomics.wait(stopFlag ?? nobody, 0, 0, ms);
}
