/** `trim now` and `trim set`. */

import type { Intensity } from '../domain/defrag-plan.js';
import { MaintenanceError } from '../domain/errors.js';
import type { Run } from '../domain/runs.js';
import {
  TRIM_BATCH_BYTES_MAX,
  TRIM_BATCH_BYTES_MIN,
  type TrimIntensity,
} from '../domain/trim-schedule.js';
import { formatBytes } from '../domain/units.js';
import type { ExtentPool } from '../pool/extent-pool/extent-pool.js';
import { forecastTrim } from '../pool/extent-pool/trim.js';
import type { FsPool } from '../pool/fs-pool/fs-pool.js';
import type { MaintainedPool } from '../pool/maintained-pool.js';
import { changePolicy } from './policy-control.js';
import { findNamedDisk, locate, openFileSystem, withAnyPool, withPool } from './pool-access.js';
import { linkQueue } from './queue-link.js';
import { beginTrim } from './run-control.js';
import { setTrimPaused } from './run-pause.js';
import type { Output } from './schemas.js';
import { runView } from './views.js';
import { waitForRun } from './wait-for-run.js';

type Forecast = Extract<Output<'trim now'>, { dryRun: true }>;
type TrimResult = Extract<Output<'trim now'>, { dryRun: false }>;

export interface TrimNowOptions {
  readonly disk: string | null;
  readonly secureErase: boolean;
  /** Of a mounted file system: how long to rest between two windows. */
  readonly intensity: Intensity;
  readonly sloMs: number | null;
  readonly quiet: boolean;
  readonly note: (message: string) => void;
}

export async function forecast(poolPath: string, diskName: string | null): Promise<Forecast> {
  const located = locate(poolPath);
  if (located) {
    const { forecastFs } = await import('./fs-trim.js');
    return await forecastFs(located, diskName);
  }
  return await withPool(poolPath, 'read', (pool) => {
    const { context } = pool;
    const disks = diskName === null ? context.store.disks.all() : [findNamedDisk(pool, diskName)];
    return { schemaVersion: 1, dryRun: true, disks: forecastTrim(context, disks) };
  });
}

/** A trim that is under way already is waited for first: it began before this one was asked for. */
export async function trimNow(poolPath: string, options: TrimNowOptions): Promise<TrimResult> {
  const located = locate(poolPath);
  if (located) {
    const { beginFsTrimNow } = await import('./fs-trim.js');
    const pool = openFileSystem(located, 'write');
    try {
      return await followTrim(pool, options, () => beginFsTrimNow(located, pool, options));
    } finally {
      await pool.close();
    }
  }
  return await withPool(poolPath, 'write', (pool) => {
    const disk = options.disk === null ? null : findNamedDisk(pool, options.disk).path;
    const intent = { ...options, disk, trigger: 'manual' } as const;
    return followTrim(pool, options, () => beginTrim(pool, intent));
  });
}

async function followTrim(
  pool: ExtentPool | FsPool,
  options: TrimNowOptions,
  begin: () => { run: Run; joined: boolean },
): Promise<TrimResult> {
  const link = await linkQueue(pool, options.note);
  try {
    for (;;) {
      const { run, joined } = begin();
      const jobId = await link.enqueue(run.runId);
      const ended = await waitForRun(pool, run.runId, options.quiet);
      if (joined) continue;
      const { kind, context } = pool;
      const devices = kind === 'file-system' ? context.store.trimDevices.of(run.runId) : null;
      return { schemaVersion: 1, dryRun: false, jobId, run: runView(pool, ended), devices };
    }
  } finally {
    await link.close();
  }
}

/** @throws MaintenanceError ERR_TARGET_NOT_FOUND when no trim is open, ERR_QUEUE, ERR_AGENT. */
export async function resumeTrim(
  pool: MaintainedPool,
  note: (message: string) => void,
): Promise<void> {
  const link = await linkQueue(pool, note);
  try {
    await link.enqueue(setTrimPaused(pool, false).runId);
  } finally {
    await link.close();
  }
}

export interface TrimChanges {
  readonly intensity: TrimIntensity | null;
  readonly batchBytes: number | null;
  readonly secureErase: boolean | null;
  readonly enabled: boolean | null;
}

export function setTrim(poolPath: string, changes: TrimChanges): Promise<Output<'trim set'>> {
  const { intensity, batchBytes, secureErase, enabled } = changes;
  if (
    batchBytes !== null &&
    (batchBytes < TRIM_BATCH_BYTES_MIN || batchBytes > TRIM_BATCH_BYTES_MAX)
  ) {
    const [least, most] = [formatBytes(TRIM_BATCH_BYTES_MIN), formatBytes(TRIM_BATCH_BYTES_MAX)];
    throw new MaintenanceError(
      'ERR_USAGE',
      `a batch of ${formatBytes(batchBytes)} is outside the limits`,
      {
        nextStep: `Choose from ${least} to ${most}.`,
      },
    );
  }
  return withAnyPool(poolPath, 'write', (pool) => {
    if (pool.kind === 'file-system') refuseForMounts(changes);
    const { trim, enabled: isOn } = changePolicy(pool, {
      trim: {
        intensity: intensity ?? undefined,
        batchBytes: batchBytes ?? undefined,
        secureErase: secureErase ?? undefined,
        enabled: enabled ?? undefined,
      },
    });
    return {
      schemaVersion: 1,
      enabled: isOn && trim.enabled,
      intensity: trim.intensity,
      batchBytes: trim.batchBytes,
      secureErase: trim.secureErase,
    };
  });
}

/** Windows have their own size, and what is free on a mount may be overwritten by its users only. */
function refuseForMounts({ batchBytes, secureErase }: TrimChanges): void {
  if (batchBytes === null && secureErase !== true) return;
  throw new MaintenanceError('ERR_UNSUPPORTED', 'a mounted file system has no such setting', {
    nextStep: 'Leave out --batch-size and --secure-erase.',
  });
}
