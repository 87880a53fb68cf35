/** `trim now` and `trim set`. */

import { MaintenanceError } from '../domain/errors.js';
import {
  TRIM_BATCH_BYTES_MAX,
  TRIM_BATCH_BYTES_MIN,
  type TrimIntensity,
} from '../domain/trim-schedule.js';
import { formatBytes } from '../domain/units.js';
import { forecastTrim } from '../pool/extent-pool/trim.js';
import { findNamedDisk, withPool } from './pool-access.js';
import { linkQueue } from './queue-link.js';
import { beginTrim } from './run-control.js';
import type { Output } from './schemas.js';
import { runView } from './views.js';
import { waitForRun } from './wait-for-run.js';

type Forecast = Extract<Output<'trim now'>, { dryRun: true }>;
type TrimResult = Extract<Output<'trim now'>, { dryRun: false }>;

export interface TrimNowOptions {
  readonly disk: string | null;
  readonly secureErase: boolean;
  readonly quiet: boolean;
  readonly note: (message: string) => void;
}

export function forecast(poolPath: string, diskName: string | null): Promise<Forecast> {
  return withPool(poolPath, 'read', (pool) => {
    const { context } = pool;
    const disks = diskName === null ? context.store.disks.all() : [findNamedDisk(pool, diskName)];
    return { schemaVersion: 1, dryRun: true, disks: forecastTrim(context, disks) };
  });
}

/** A trim that is under way already is waited for first: it began before this one was asked for. */
export function trimNow(poolPath: string, options: TrimNowOptions): Promise<TrimResult> {
  return withPool(poolPath, 'write', async (pool) => {
    const disk = options.disk === null ? null : findNamedDisk(pool, options.disk).path;
    const link = await linkQueue(pool, options.note);
    try {
      for (;;) {
        const { run, joined } = beginTrim(pool, { ...options, disk, trigger: 'manual' });
        const jobId = await link.enqueue(run.runId);
        const ended = await waitForRun(pool, run.runId, options.quiet);
        if (!joined) return { schemaVersion: 1, dryRun: false, jobId, run: runView(pool, ended) };
      }
    } finally {
      await link.close();
    }
  });
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
  return withPool(poolPath, 'write', (pool) => {
    pool.context.store.settings.write({
      ...(intensity === null ? {} : { trimIntensity: intensity }),
      ...(batchBytes === null ? {} : { trimBatchBytes: batchBytes }),
      ...(secureErase === null ? {} : { trimSecureErase: secureErase }),
      ...(enabled === null ? {} : { trimEnabled: enabled }),
    });
    const now = pool.context.settings();
    return {
      schemaVersion: 1,
      enabled: now.trimEnabled,
      intensity: now.trimIntensity,
      batchBytes: now.trimBatchBytes,
      secureErase: now.trimSecureErase,
    };
  });
}
