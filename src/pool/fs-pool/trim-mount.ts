/**
 * One trim of a mounted file system: reads its windows, leaves out those that need none, trims the
 * others one after the other, and hands each to the caller to store.
 */

import { MaintenanceError, type WireError } from '../../domain/errors.js';
import type { DetectedMount } from '../../domain/mounts.js';
import type { MoveControl } from '../../domain/move-tasks.js';
import type { TrimWindowOutcome } from '../../domain/trim-tasks.js';
import {
  forecastWindows,
  type PlannedWindow,
  planWindows,
  type RememberedWindow,
  requestBytesOfDevice,
  type SkipCause,
  TRIM_WINDOW_BYTES_DEFAULT,
  type TrimEvidence,
  type TrimWindowForecast,
  windowsFromCursor,
  windowsOnDevice,
} from '../../domain/trim-windows.js';
import type { WorkerPool } from '../worker-pool.js';
import { granularityBytes, sizeBytes, trimDevices } from './trim-devices.js';

export interface TrimMountOptions {
  readonly workers: Pick<WorkerPool, 'run'>;
  readonly mount: DetectedMount;
  /** New for each run: what it remembers belongs together. */
  readonly runId: string;
  readonly remembered: readonly RememberedWindow[];
  /** Where a stopped run ended; null to begin at the first window. */
  readonly cursorBytes: number | null;
  /** 0 to leave it to the device. */
  readonly minLengthBytes: number;
  readonly windowBytes?: number;
  /** In sysfs: only what lies on this device, and what the file system trims along with it. */
  readonly deviceName?: string | null;
  readonly stopFlag: MoveControl | null;
  readonly clock: () => number;
  /** After each window; stores the row, if there is one, and the cursor in one transaction. */
  readonly onWindow: (step: TrimWindowStep) => void | Promise<void>;
}

export interface TrimWindowStep {
  readonly planned: PlannedWindow;
  /** Null for a window that was left out. */
  readonly outcome: TrimWindowOutcome | null;
  /** What is known of the window from now on; null to forget it. */
  readonly remember: RememberedWindow | null;
  /** Where a run goes on that is stopped now; null after the last window. */
  readonly cursorBytes: number | null;
  readonly doneCount: number;
  readonly totalCount: number;
}

export interface TrimMountReport {
  readonly windowCount: number;
  readonly trimmedCount: number;
  readonly skippedCounts: Readonly<Record<SkipCause, number>>;
  readonly requestedBytes: number;
  readonly deviceDiscardedBytes: number;
  /** Null where no window could tell. */
  readonly confirmedBytes: number | null;
  /** Windows of which the backing file still held what was asked to be discarded. */
  readonly refusedCount: number;
  readonly failedCount: number;
  /** That of `isUnsupported`, if it is. */
  readonly firstError: WireError | null;
  /** No layer below takes discards: the run ended at the first window. */
  readonly isUnsupported: boolean;
  readonly longestStepMs: number;
  readonly isStopped: boolean;
}

/**
 * @throws MaintenanceError ERR_PERMISSION for a read-only mount, and when the windows cannot be read;
 * refusals of single windows are counted.
 */
export async function trimMount(options: TrimMountOptions): Promise<TrimMountReport> {
  const { workers, mount, stopFlag } = options;
  // The kernel would do it, and who mounted it so expects that nothing reaches the device.
  if (mount.isReadOnly) throw readOnly(mount);
  const { plan, evidence, minLengthBytes } = await readPlan(options, true);
  const windows = fromCursor(plan, options.cursorBytes);
  const report = emptyReport(windows.length);
  const devices = trimDevices(mount);
  let paceBytes: number | null = null;
  for (const [index, planned] of windows.entries()) {
    if (stopFlag && Atomics.load(stopFlag, 0) === 1) return { ...report, isStopped: true };
    const { window, skip } = planned;
    const next = windows[index + 1]?.window.startBytes ?? null;
    const tell = (
      outcome: TrimWindowOutcome | null,
      remember: RememberedWindow | null,
      cursorBytes: number | null,
    ) => {
      const [doneCount, totalCount] = [index + 1, windows.length];
      return options.onWindow({ planned, outcome, remember, cursorBytes, doneCount, totalCount });
    };
    if (skip !== null) {
      report.skippedCounts[skip] += 1;
      await tell(null, stillKnown(options, planned, evidence, minLengthBytes), next);
      continue;
    }
    const outcome: TrimWindowOutcome = await workers.run('trim-window', {
      mountPath: mount.entry.mountPath,
      mountId: mount.entry.mountId,
      fsType: mount.fsType,
      window: { startBytes: window.startBytes, lengthBytes: window.lengthBytes },
      minLengthBytes,
      devices,
      stopFlag,
      paceBytes,
    });
    count(report, outcome);
    if (outcome.kind === 'unsupported') {
      await tell(outcome, null, null);
      return report;
    }
    const endBytes = window.startBytes + window.lengthBytes;
    const isStopped = outcome.kind === 'trimmed' && outcome.nextBytes < endBytes;
    const keep = isComplete(outcome, endBytes)
      ? { ...rowOf(options, planned, evidence), minLengthBytes }
      : null;
    await tell(outcome, keep, isStopped ? window.startBytes : next);
    if (isStopped) return { ...report, isStopped: true };
    if (outcome.kind === 'trimmed') paceBytes = outcome.paceBytes;
  }
  return report;
}

function readOnly({ entry }: DetectedMount): MaintenanceError {
  return new MaintenanceError('ERR_PERMISSION', `${entry.mountPath} is mounted read-only`, {
    nextStep: 'Look into the kernel log for why, and remount it for writing.',
  });
}

export interface MountForecast extends TrimWindowForecast {
  /** By the path of each device asked for; null where it is not known of a device of several. */
  readonly requestBytesByPath: ReadonlyMap<string, number | null>;
}

/** What a run would ask for now; changes nothing. */
export async function forecastMount(
  options: Pick<
    TrimMountOptions,
    'workers' | 'mount' | 'remembered' | 'minLengthBytes' | 'windowBytes' | 'deviceName'
  >,
): Promise<MountForecast> {
  const { plan, outsideBytes } = await readPlan(options, false);
  const whole = forecastWindows(plan, outsideBytes);
  const { devices } = options.mount;
  const asked = devices.filter(({ name }) => name === (options.deviceName ?? name));
  const ofWhole = whole.isKnown ? whole.requestBytes : null;
  const requestBytesByPath = new Map(
    asked.map(({ name, path }) => [
      path,
      devices.length === 1 ? ofWhole : requestBytesOfDevice(plan, name),
    ]),
  );
  return { ...whole, requestBytesByPath };
}

async function readPlan(
  options: Pick<
    TrimMountOptions,
    'workers' | 'mount' | 'remembered' | 'minLengthBytes' | 'windowBytes' | 'deviceName'
  >,
  flush: boolean,
): Promise<{
  readonly plan: PlannedWindow[];
  readonly evidence: TrimEvidence;
  readonly outsideBytes: number;
  readonly minLengthBytes: number;
}> {
  const { workers, mount } = options;
  const minLengthBytes = Math.max(options.minLengthBytes, granularityBytes(mount));
  const list = await workers.run('read-trim-windows', {
    mountPath: mount.entry.mountPath,
    mountId: mount.entry.mountId,
    fsType: mount.fsType,
    sysfsName: mount.sysfsName,
    devices: trimDevices(mount),
    sizeBytes: sizeBytes(mount),
    windowBytes: options.windowBytes ?? TRIM_WINDOW_BYTES_DEFAULT,
    minLengthBytes,
    flush,
  });
  const { windows, evidence, freedAfter, outsideBytes } = list;
  const all = planWindows(windows, options.remembered, evidence, freedAfter, minLengthBytes);
  const plan = windowsOnDevice(all, options.deviceName ?? null);
  return { plan, evidence, outsideBytes, minLengthBytes };
}

function fromCursor(plan: readonly PlannedWindow[], cursorBytes: number | null): PlannedWindow[] {
  const ordered = windowsFromCursor(
    plan.map(({ window }) => window),
    cursorBytes,
  );
  const byStart = new Map(plan.map((planned) => [planned.window.startBytes, planned]));
  return ordered.flatMap(({ startBytes }) => byStart.get(startBytes) ?? []);
}

/**
 * A window that was left out is as good as trimmed now: what was free in it when the windows were
 * read is trimmed, and what is freed after this run's evidence was read changes the evidence.
 */
function stillKnown(
  options: TrimMountOptions,
  planned: PlannedWindow,
  evidence: TrimEvidence,
  minLengthBytes: number,
): RememberedWindow {
  const { startBytes } = planned.window;
  const before = options.remembered.find((window) => window.startBytes === startBytes);
  return {
    ...rowOf(options, planned, evidence),
    trimmedAtMs: before?.trimmedAtMs ?? options.clock(),
    minLengthBytes: before?.minLengthBytes ?? minLengthBytes,
  };
}

function rowOf(
  { runId, clock }: TrimMountOptions,
  { window }: PlannedWindow,
  evidence: TrimEvidence,
): Omit<RememberedWindow, 'minLengthBytes'> {
  const { startBytes, lengthBytes, fingerprint, freeBytes } = window;
  const trimmedAtMs = clock();
  return { startBytes, lengthBytes, fingerprint, freeBytes, runId, evidence, trimmedAtMs };
}

/** What was refused, stopped or failed is asked for again. */
function isComplete(outcome: TrimWindowOutcome, endBytes: number): boolean {
  return (
    outcome.kind === 'trimmed' &&
    outcome.nextBytes === endBytes &&
    outcome.confirmation !== 'refused'
  );
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Counting = Mutable<Omit<TrimMountReport, 'skippedCounts'>> & {
  skippedCounts: Record<SkipCause, number>;
};

function emptyReport(windowCount: number): Counting {
  return {
    windowCount,
    trimmedCount: 0,
    skippedCounts: { 'nothing-freed': 0, 'freed-elsewhere': 0, full: 0 },
    requestedBytes: 0,
    deviceDiscardedBytes: 0,
    confirmedBytes: null,
    refusedCount: 0,
    failedCount: 0,
    firstError: null,
    isUnsupported: false,
    longestStepMs: 0,
    isStopped: false,
  };
}

function count(report: Counting, outcome: TrimWindowOutcome): void {
  if (outcome.kind !== 'trimmed') {
    if (outcome.kind === 'failed') {
      report.failedCount += 1;
      report.firstError ??= outcome.error;
    } else {
      report.isUnsupported = true;
      report.firstError = outcome.error;
    }
    return;
  }
  report.trimmedCount += 1;
  report.requestedBytes += outcome.requestedBytes;
  report.deviceDiscardedBytes += outcome.deviceDiscardedBytes;
  if (outcome.confirmedBytes !== null) {
    report.confirmedBytes = (report.confirmedBytes ?? 0) + outcome.confirmedBytes;
  }
  if (outcome.confirmation === 'refused') report.refusedCount += 1;
  report.longestStepMs = Math.max(report.longestStepMs, outcome.longestStepMs);
}
