/** What is known of a pool when it is decided whether anything begins. Gathered by src/pool/trigger-facts.ts. */

import type { HourKnowledge } from './adaptive.js';
import type { Tier } from './heat.js';
import type { Reclamation } from './reclamation.js';
import type { RunKind } from './runs.js';

/** A tier, or the whole pool. */
export type Scope = 'pool' | Tier;

/** Something of each scope that has it; null where it is not known, absent where there is no such thing. */
export type ByScope<T> = Readonly<Partial<Record<Scope, T | null>>>;

export interface SpaceFact {
  readonly capacityBytes: number;
  /** Used or pending. */
  readonly usedBytes: number;
}

export interface FragmentationFact {
  readonly ratio: number;
  /** Extents or files that were looked at. */
  readonly count: number;
  readonly asOfMs: number;
}

export interface FreedFact {
  /** What a trim could discard now; null on a mount, where only a look at all free space would tell. */
  readonly pendingBytes: number | null;
  /** When its last trim ended, or the pool was made. */
  readonly trimmedAtMs: number;
}

/** How the maintenance windows stand. */
export interface WindowState {
  /** Null while all are closed. */
  readonly openUntilMs: number | null;
  /** When the one that is open opened, the latest of several; else null. */
  readonly openedAtMs: number | null;
  /** The next start of any; null when there is none in sight. */
  readonly opensAtMs: number | null;
}

/** What payback says of rewriting on this pool. */
export interface PaybackFact {
  /** Until when rewriting backs off; null when it pays, or that is not known. */
  readonly backsOffUntilMs: number | null;
  /** With the figures, for people. */
  readonly reason: string;
}

/** What adaptive mode knows; null where the policy does not ask for it. */
export interface AdaptiveFact {
  readonly week: readonly HourKnowledge[];
  /** 0 to 167, in the time zone of the policy. */
  readonly hourOfWeek: number;
  readonly allowedHours: ReadonlySet<number> | null;
}

/** The part of a reclamation that a later decision depends on. */
export type PastReclamation = Pick<
  Reclamation,
  | 'reclamationId'
  | 'state'
  | 'trigger'
  | 'scope'
  | 'startedAtMs'
  | 'endedAtMs'
  | 'endCause'
  | 'helped'
>;

/**
 * Times of the past are as the clock of now would have shown them: where it was set back since, they
 * are moved with it.
 */
export interface TriggerFacts {
  readonly nowMs: number;
  readonly createdAtMs: number;
  readonly space: ByScope<SpaceFact>;
  readonly fragmentation: ByScope<FragmentationFact>;
  readonly freed: ByScope<FreedFact>;
  /** The newest first, an open one too. */
  readonly recent: readonly PastReclamation[];
  /** Since when ticks have found each threshold passed, by `verdictKey`; absent where it is not. */
  readonly passedSinceMs: Readonly<Record<string, number>>;
  /** Kinds of runs that are open, paused ones too. */
  readonly openRuns: readonly RunKind[];
  readonly windows: WindowState;
  /** Null outside of quiet hours. */
  readonly quietUntilMs: number | null;
  /** Rewritten since midnight UTC; null when it is not known. */
  readonly wornTodayBytes: number | null;
  readonly payback: PaybackFact | null;
  readonly adaptive: AdaptiveFact | null;
}
