/** What `--json` prints of scrubs; see schemas.ts for the rules. */

import * as z from 'zod';
import { INTENSITIES } from '../domain/defrag-plan.js';
import { FINDINGS } from '../domain/repairs.js';
import { bytes, count, RunOutput, timeMs, versioned } from './schema-parts.js';

const Place = {
  object: z.string(),
  extentIndex: count,
  extentId: count,
  diskPath: z.string(),
  reason: z.string(),
  atMs: timeMs,
};

const status = {
  ...versioned,
  running: z.boolean(),
  paused: z.boolean(),
  intensity: z.enum(INTENSITIES).nullable(),
  /** Whether the scrub repairs what it finds. */
  repair: z.boolean(),
  replicasVerified: count,
  bytesVerified: bytes,
  replicasBad: count,
  replicasRepaired: count,
  replicasUnrepairable: count,
  /** Replicas on disks that are away, or that were moved while they were read. */
  replicasSkipped: count,
  run: RunOutput.nullable(),
  /** What is bad now, whoever found it. */
  badReplicas: z.array(
    z.strictObject({
      ...Place,
      /** Left as it is until somebody reads it or a scrub repairs. */
      held: z.boolean(),
      failedRepairs: count,
    }),
  ),
  /** What happened to replicas of late, the newest first. */
  findings: z.array(z.strictObject({ ...Place, what: z.enum(FINDINGS), runId: count.nullable() })),
};

export const ScrubStatusOutput = z.strictObject(status);

export const ScrubStartOutput = z.strictObject({
  ...status,
  jobId: z.string().nullable(),
  /** The run at whose end this one goes on; null when it begins at the beginning. */
  continuesRunId: count.nullable(),
});
