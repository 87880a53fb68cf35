/**
 * A reclamation: one analysis, the defragmentation of each tier and a trim, begun and ended as one.
 *
 * States:
 *   running → completed     every step is over, or a budget or window ended it: see `endCause`
 *   running → stopped       somebody stopped it
 *   running → failed        a step met an error that nothing gets around
 *   running ⇄ paused        no step goes on
 * It lives in SQLite; what a step does is a run. Jobs only carry ids, so a lost Redis or agent delays
 * it, no more.
 */

import type { Intensity } from './defrag-plan.js';
import type { WireError } from './errors.js';
import type { Tier } from './heat.js';

export const RECLAMATION_STATES = ['running', 'paused', 'completed', 'stopped', 'failed'] as const;
export type ReclamationState = (typeof RECLAMATION_STATES)[number];

/** `freed` trims only: so much was given back since the last trim, or so long ago was that. */
export const RECLAMATION_TRIGGERS = [
  'manual',
  'capacity',
  'fragmentation',
  'schedule',
  'freed',
] as const;
export type ReclamationTrigger = (typeof RECLAMATION_TRIGGERS)[number];

/** Why it ended before its steps were done; null while it is open, or when they were. */
export const END_CAUSES = ['time-budget', 'wear-budget', 'window-closed'] as const;
export type EndCause = (typeof END_CAUSES)[number];

export const STEP_STATES = ['waiting', 'running', 'done', 'skipped', 'stopped', 'failed'] as const;
export type StepState = (typeof STEP_STATES)[number];

/** How the fragmented extents or files of one tier are to be moved. */
export interface TierDefrag {
  readonly tier: Tier;
  readonly intensity: Intensity;
  readonly threadCount: number;
  readonly minFragments: number;
  readonly hotFirst: boolean;
  readonly pauseOnHighLoad: boolean;
  readonly sloMs: number | null;
  /** The tier is left alone while its fragmentation ratio is not above this. */
  readonly thresholdRatio: number;
}

export type StepPlan =
  | { readonly what: 'analyze' }
  | ({ readonly what: 'defrag' } & TierDefrag)
  | { readonly what: 'trim' };

export interface ReclamationStep {
  readonly index: number;
  readonly plan: StepPlan;
  readonly state: StepState;
  /** Why it was skipped, for people. */
  readonly reason: string | null;
  /** The run that does it; null for an analysis, and before it begins. */
  readonly runId: number | null;
  readonly startedAtMs: number | null;
  readonly endedAtMs: number | null;
}

/** How a pool stands, before and after. */
export interface PoolStanding {
  /** Fragmented extents or files of all; null where no analysis was made. */
  readonly fragmentationRatio: number | null;
  readonly capacityBytes: number;
  readonly usedBytes: number;
  /** Freed, and not given back yet; not part of what is used. */
  readonly pendingBytes: number;
}

export interface Reclamation {
  readonly reclamationId: number;
  readonly state: ReclamationState;
  readonly trigger: ReclamationTrigger;
  /** The tier whose threshold was passed; null for the whole pool. */
  readonly scope: Tier | null;
  /** With the figures that were compared. */
  readonly reason: string;
  readonly actor: string;
  readonly policyVersion: number;
  /** It ends, and goes on another time, after so long at work. */
  readonly timeBudgetMs: number | null;
  readonly startedAtMs: number;
  readonly endedAtMs: number | null;
  readonly endCause: EndCause | null;
  readonly error: WireError | null;
  readonly before: PoolStanding;
  readonly after: PoolStanding | null;
  /** What its runs did; final once it has ended. */
  readonly outcome: ReclamationOutcome;
  /** Whether what began it is better than before; null while it is open, and when that cannot be said. */
  readonly helped: boolean | null;
}

export interface ReclamationOutcome {
  readonly defragmentedCount: number;
  readonly rewrittenBytes: number;
  readonly reclaimedBytes: number;
  readonly skippedCount: number;
  readonly failedCount: number;
  readonly unsupportedCount: number;
  readonly busyMs: number;
}

export const NO_OUTCOME: ReclamationOutcome = {
  defragmentedCount: 0,
  rewrittenBytes: 0,
  reclaimedBytes: 0,
  skippedCount: 0,
  failedCount: 0,
  unsupportedCount: 0,
  busyMs: 0,
};

/** Which of what is fragmented a run moves, and in which order. */
export interface RunScope {
  /** Null for all. */
  readonly tiers: readonly Tier[] | null;
  readonly minFragments: number;
  /** False: what is in most fragments goes first. */
  readonly hotFirst: boolean;
  /** It ends once the pool has rewritten so much since midnight UTC; null for no limit. */
  readonly wearBudgetBytesPerDay: number | null;
}

/** Of what a person begins. */
export const WHOLE_SCOPE: RunScope = {
  tiers: null,
  minFragments: 2,
  hotFirst: true,
  wearBudgetBytesPerDay: null,
};
