/** What the reclamation commands print with `--json`. */

import * as z from 'zod';
import { INTENSITIES } from '../domain/defrag-plan.js';
import { TIERS } from '../domain/heat.js';
import { POLICY_PRESETS } from '../domain/policy.js';
import {
  END_CAUSES,
  RECLAMATION_STATES,
  RECLAMATION_TRIGGERS,
  STEP_STATES,
} from '../domain/reclamation.js';
import { JOB_KINDS } from '../queue/names.js';
import { GovernorOutput } from './governor-view.js';
import { PauseOutput } from './pause-view.js';
import {
  bytes,
  count,
  RunOutput,
  ratio,
  timeMs,
  versioned,
  WireErrorSchema,
} from './schema-parts.js';
import { TrendsOutput } from './trends-schemas.js';

const Standing = z.strictObject({
  /** Null where no analysis tells. */
  fragmentationRatio: ratio.nullable(),
  capacityBytes: bytes,
  usedBytes: bytes,
  pendingBytes: bytes,
});

const Step = z.strictObject({
  what: z.enum(['analyze', 'defrag', 'trim']),
  /** Null but of a defragmentation, as is the intensity. */
  tier: z.enum(TIERS).nullable(),
  intensity: z.enum(INTENSITIES).nullable(),
  state: z.enum(STEP_STATES),
  reason: z.string().nullable(),
  startedAtMs: timeMs.nullable(),
  endedAtMs: timeMs.nullable(),
  run: RunOutput.nullable(),
});

const Reclamation = z.strictObject({
  reclamationId: count,
  state: z.enum(RECLAMATION_STATES),
  trigger: z.enum(RECLAMATION_TRIGGERS),
  /** The tier whose threshold was passed; null for the pool. */
  scope: z.enum(TIERS).nullable(),
  reason: z.string(),
  actor: z.string(),
  policyVersion: count,
  timeBudgetMs: z.number().positive().nullable(),
  startedAtMs: timeMs,
  endedAtMs: timeMs.nullable(),
  endCause: z.enum(END_CAUSES).nullable(),
  before: Standing,
  after: Standing.nullable(),
  defragmentedCount: count,
  rewrittenBytes: bytes,
  reclaimedBytes: bytes,
  skippedCount: count,
  failedCount: count,
  unsupportedCount: count,
  busyMs: z.number().nonnegative(),
  /** Whether what began it is better than before; null while that is not known. */
  helped: z.boolean().nullable(),
  steps: z.array(Step),
  error: WireErrorSchema.nullable(),
  /** Who paused it; null where it is not paused. */
  pause: PauseOutput.nullable(),
});

export const ReclamationRunOutput = z.strictObject({
  ...versioned,
  reclamation: Reclamation,
});

export const ReclamationStatusOutput = z.strictObject({
  ...versioned,
  policy: z.strictObject({
    preset: z.enum(POLICY_PRESETS),
    description: z.string(),
    enabled: z.boolean(),
    version: count,
  }),
  /** Of all that ended. */
  statistics: z.strictObject({
    reclamationCount: count,
    reclaimedBytes: bytes,
    defragmentedCount: count,
  }),
  open: Reclamation.nullable(),
  /** Paused in BullMQ itself, so that it waits; null when none is open, or Redis does not answer. */
  pausedQueues: z.array(z.enum(JOB_KINDS)).nullable(),
  governor: GovernorOutput,
  trends: TrendsOutput,
  /** Those that ended last, the newest first. */
  recent: z.array(Reclamation),
});

export type ReclamationView = z.infer<typeof Reclamation>;
