/** What `--json` prints of trims; see schemas.ts for the rules. */

import * as z from 'zod';
import { TRIM_INTENSITIES } from '../domain/trim-schedule.js';
import { GovernorOutput } from './governor-view.js';
import { bytes, count, RunOutput, timeMs, versioned } from './schema-parts.js';

export const TrimForecastOutput = z.strictObject({
  ...versioned,
  dryRun: z.literal(true),
  disks: z.array(
    z.strictObject({
      diskId: z.uuid(),
      path: z.string(),
      rangeCount: count,
      requestedBytes: bytes,
      reclaimableBytes: bytes.nullable(),
      skippedBytes: bytes,
    }),
  ),
});

/** What a trim was seen to do with each device of a mounted file system; null for an extent pool. */
const devices = z
  .array(
    z.strictObject({
      path: z.string(),
      discardedBytes: bytes,
      confirmedBytes: bytes.nullable(),
      takesDiscards: z.boolean(),
    }),
  )
  .nullable();

export const TrimNowOutput = z.strictObject({
  ...versioned,
  dryRun: z.literal(false),
  jobId: z.string().nullable(),
  run: RunOutput,
  devices,
});

export const TrimSettingsOutput = z.strictObject({
  ...versioned,
  enabled: z.boolean(),
  intensity: z.enum(TRIM_INTENSITIES),
  batchBytes: bytes,
  secureErase: z.boolean(),
});

export const TrimStatusOutput = z.strictObject({
  ...versioned,
  operations: count,
  requestedBytes: bytes,
  confirmedBytes: bytes,
  reclaimedBytes: bytes,
  ranges: count,
  failures: count,
  unsupported: count,
  /** Null for a mounted file system, which says so only when its free space is read. */
  pendingBytes: bytes.nullable(),
  pendingRanges: count.nullable(),
  lastTrimAtMs: timeMs.nullable(),
  enabled: z.boolean(),
  intensity: z.enum(TRIM_INTENSITIES),
  batchBytes: bytes,
  secureErase: z.boolean(),
  run: RunOutput.nullable(),
  governor: GovernorOutput,
  devices,
});
