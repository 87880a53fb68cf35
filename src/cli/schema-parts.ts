/** What the outputs of several commands are made of. */

import * as z from 'zod';
import { INTENSITIES } from '../domain/defrag-plan.js';
import { MAP_KINDS } from '../domain/disk-map.js';
import { ERROR_KINDS, type ErrorCode } from '../domain/errors.js';
import { TIERS } from '../domain/heat.js';
import { RUN_KINDS, RUN_STATES } from '../domain/runs.js';
import { PauseOutput } from './pause-view.js';

export const count = z.int().nonnegative();
export const bytes = z.int().nonnegative();
export const ratio = z.number().min(0).max(1);
export const timeMs = z.number().nonnegative();
export const versioned = { schemaVersion: z.literal(1) };

export const WireErrorSchema = z.strictObject({
  code: z.enum(Object.keys(ERROR_KINDS) as [ErrorCode, ...ErrorCode[]]),
  message: z.string(),
  nextStep: z.string().nullable(),
  details: z.record(z.string(), z.unknown()),
});

export const Disk = z.strictObject({
  diskId: z.uuid(),
  kind: z.enum(['directory', 'device']),
  path: z.string(),
  tier: z.enum(TIERS),
  condition: z.enum(['online', 'read-only', 'missing', 'mismatch', 'held']),
  evacuating: z.boolean(),
  capacityBytes: bytes,
  usedBytes: bytes,
  freeBytes: bytes,
  pendingBytes: bytes,
  reservedBytes: bytes,
  problem: z.string().nullable(),
});

export const RunOutput = z.strictObject({
  runId: count,
  kind: z.enum(RUN_KINDS),
  state: z.enum(RUN_STATES),
  trigger: z.string(),
  intensity: z.enum(INTENSITIES),
  threads: count,
  startedAtMs: timeMs,
  endedAtMs: timeMs.nullable(),
  plannedCount: count,
  plannedBytes: bytes,
  processedCount: count,
  processedBytes: bytes,
  doneCount: count,
  skippedCount: count,
  failedCount: count,
  unsupportedCount: count,
  unverifiedCount: count,
  doneBytes: bytes,
  confirmedBytes: bytes,
  reclaimedBytes: bytes,
  busyMs: z.number().nonnegative(),
  /** How long the governor let it work without limit, for a share of the time, and not at all. */
  fullPaceMs: z.number().nonnegative(),
  yieldingMs: z.number().nonnegative(),
  heldMs: z.number().nonnegative(),
  estimatedRemainingMs: z.number().nonnegative().nullable(),
  exclusions: z.array(
    z.strictObject({ outcome: z.enum(['skipped', 'failed']), reason: z.string(), count }),
  ),
  error: WireErrorSchema.nullable(),
  /** Who paused it; null where it is not paused. */
  pause: PauseOutput.nullable(),
});

export const Failure = z.strictObject({ name: z.string(), error: WireErrorSchema });

export const figures = {
  extentCount: count,
  fragmentedExtentCount: count,
  fragmentationRatio: ratio,
};

export const DiskMapOutput = z.strictObject({
  diskId: z.uuid(),
  path: z.string(),
  cellBytes: bytes,
  cells: z.array(
    z.strictObject({
      kind: z.enum(MAP_KINDS),
      bytes: z.record(z.enum(MAP_KINDS), bytes),
    }),
  ),
});

/** A file system has no id of its own where nobody may read it. */
export const FsDiskMapOutput = z.strictObject({ ...DiskMapOutput.shape, diskId: z.string() });

export const JobOutput = z.strictObject({
  jobId: z.string(),
  poolId: z.uuid(),
  queue: z.string(),
  state: z.string(),
  attempts: count,
  addedAtMs: timeMs,
  finishedAtMs: timeMs.nullable(),
  data: z.unknown(),
  result: z.unknown(),
  error: z.string().nullable(),
});
