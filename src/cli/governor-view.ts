/** What is shown of the governor of a pool. */

import * as z from 'zod';
import { GOVERNOR_CAUSES, GOVERNOR_STATES, type GovernorCause } from '../domain/governor.js';
import { isCurrent } from '../domain/governor-pace.js';
import { RUN_KINDS, type RunKind } from '../domain/runs.js';
import type { MaintainedPool } from '../pool/maintained-pool.js';

/** Of the run that is held back most; null while none is at work. */
export const GovernorOutput = z
  .strictObject({
    runId: z.int().positive(),
    kind: z.enum(RUN_KINDS),
    state: z.enum(GOVERNOR_STATES),
    cause: z.enum(GOVERNOR_CAUSES),
    /** Share of the time in which it may work. */
    paceRatio: z.number().min(0).max(1),
    sinceMs: z.number().nonnegative(),
    sloMs: z.number().positive().nullable(),
    pauseOnHighLoad: z.boolean(),
    /** Estimates; null before the first, or where the machine does not tell. */
    foregroundPerSec: z.number().nonnegative().nullable(),
    latencyMs: z.number().nonnegative().nullable(),
    busyRatio: z.number().min(0).max(1).nullable(),
    stallRatio: z.number().min(0).max(1).nullable(),
  })
  .nullable();

type GovernorView = z.infer<typeof GovernorOutput>;

/** @param kind of the runs that count; all when left out. */
export function governorView(pool: MaintainedPool, kind?: RunKind): GovernorView {
  const { store, clock } = pool.context;
  const status = store.governor.status(kind);
  const isAtWork = status !== null && store.runs.get(status.runId)?.state === 'running';
  if (!isAtWork || !isCurrent(status, clock())) return null;
  const { bounds, atMs: _, ...figures } = status;
  return { ...figures, sloMs: bounds.sloMs, pauseOnHighLoad: bounds.pauseOnHighLoad };
}

const CAUSES: Readonly<Record<GovernorCause, string>> = {
  'no-figures': 'this machine does not tell what others do',
  'switched-off': 'switched off',
  'first-look': 'before anything is done',
  'nobody-else': 'nobody else uses the devices',
  'others-at-work': 'others use the devices',
  'slo-missed': 'requests of others take longer than wanted',
  'device-saturated': 'the devices have as much as they can do',
  'io-pressure': 'programs on this machine wait for their disks',
};

export function governorLines(view: GovernorView): string[] {
  if (!view) return [];
  const { state, cause, paceRatio, foregroundPerSec, latencyMs } = view;
  const lines = [`  Governor: ${state}, ${CAUSES[cause]}`];
  if (state === 'yielding' && paceRatio < 1)
    lines.push(`    At work: ${(paceRatio * 100).toFixed(2)}% of the time`);
  if (foregroundPerSec !== null && (state === 'yielding' || state === 'paused')) {
    const each = latencyMs === null ? '' : `, ${latencyMs.toFixed(2)} ms each`;
    lines.push(`    Others: ${foregroundPerSec.toFixed(0)} requests a second${each}`);
  }
  return lines;
}
