/**
 * What a job carries: ids and numbers, never a path or a command. Whoever can write to Redis gets
 * nothing done but the work that a registered pool already has on its books.
 */

import * as z from 'zod';
import { MaintenanceError } from '../domain/errors.js';
import type { JobKind } from './names.js';

const PoolJob = z.strictObject({ v: z.literal(1), poolId: z.uuid() });

/** One batch of a run. Epoch and index tell a job that was superseded from the current one. */
const RunBatch = PoolJob.extend({
  kind: z.literal('batch'),
  runId: z.int().positive(),
  batchIndex: z.int().nonnegative(),
  epoch: z.int().nonnegative(),
});

/** The scheduler's tick: begin a run if one is wanted. */
const DefragPass = PoolJob.extend({ kind: z.literal('pass') });

/** A step of a reclamation, or the whole of it. */
const Phase = PoolJob.extend({
  kind: z.literal('phase'),
  reclamationId: z.int().positive(),
  stepIndex: z.int().nonnegative().nullable(),
});

const PAYLOADS = {
  // A batch is of a scrub, which has no queue of its own.
  analyze: z.union([PoolJob, RunBatch, Phase]),
  'defrag-batch': z.discriminatedUnion('kind', [RunBatch, DefragPass, Phase]),
  'trim-batch': z.discriminatedUnion('kind', [RunBatch, Phase]),
  'policy-tick': z.union([PoolJob, Phase]),
} as const satisfies Record<JobKind, z.ZodType>;

export type Payload<K extends JobKind> = z.infer<(typeof PAYLOADS)[K]>;
export type RunBatchPayload = z.infer<typeof RunBatch>;
export type PhasePayload = z.infer<typeof Phase>;

/**
 * @throws MaintenanceError ERR_USAGE for what is no payload of this kind, ERR_POLICY_REFUSED for a
 *   payload of another pool.
 */
export function parsePayload<K extends JobKind>(
  kind: K,
  poolId: string,
  data: unknown,
): Payload<K> {
  const parsed = PAYLOADS[kind].safeParse(data);
  if (!parsed.success) {
    throw new MaintenanceError(
      'ERR_USAGE',
      `not a payload of ${kind}: ${z.prettifyError(parsed.error)}`,
      {
        nextStep: 'Remove the job; it was not made by dynamicfs, or by another version of it.',
      },
    );
  }
  if (parsed.data.poolId !== poolId) {
    throw new MaintenanceError(
      'ERR_POLICY_REFUSED',
      `a job in the queue of pool ${poolId} names pool ${parsed.data.poolId}`,
      { nextStep: 'Remove the job; nothing was done.' },
    );
  }
  return parsed.data as Payload<K>;
}
