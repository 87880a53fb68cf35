/** What the ledger tells of a run: its figures, bounded whatever the run met. Pure. */

import type { JsonObject } from './ledger.js';
import type { Run, RunExclusion, RunProgress } from './runs.js';

/** Reasons that are told one by one; those of a disk that fails in many ways are added up. */
const REASONS_MAX = 20;
const REASON_CHARS_MAX = 200;

const TRIGGER_REASONS: Readonly<Record<string, string>> = {
  manual: 'somebody asked for it',
  pass: 'the pass of every minute found something fragmented',
  threshold: 'enough had been freed since the last trim',
  schedule: 'it was time',
  evacuation: 'a disk is to be removed',
  'bad-replica': 'a bad replica was found',
  'degraded-disk': 'a disk failed, whose replicas are missing',
  'lost-disk': 'replicas were on a disk that was not found when the pool was recovered',
  'returned-disk': 'a disk that had been given up is back',
  reclamation: 'a step of a reclamation',
};

/** Why a run began, for people. */
export function triggerReason(trigger: string): string {
  return TRIGGER_REASONS[trigger] ?? trigger;
}

export type RunBeginning = Pick<Run, 'kind' | 'trigger' | 'intensity' | 'threadCount'> & {
  readonly plannedCount: number;
  readonly plannedBytes: number;
  readonly secureErase: boolean;
};

/** @param diskPath of the one disk that it is for; null for all. */
export function beginningFigures(run: RunBeginning, diskPath: string | null): JsonObject {
  const { kind, trigger, intensity, threadCount, plannedCount, plannedBytes, secureErase } = run;
  return {
    ...{ kind, trigger, intensity, threadCount, plannedCount, plannedBytes },
    ...(secureErase ? { secureErase } : {}),
    ...(diskPath === null ? {} : { disk: diskPath }),
  };
}

/**
 * @param details what only runs of its kind have.
 * @returns with the receipt of a trim: what was asked for beside what was seen to be freed.
 */
export function endFigures(
  run: Run,
  endedAtMs: number,
  exclusions: readonly RunExclusion[],
  details: JsonObject,
): JsonObject {
  const { kind, trigger, intensity, startedAtMs, progress } = run;
  const { doneBytes: askedBytes, confirmedBytes, reclaimedBytes } = progress;
  return {
    ...{ kind, trigger, intensity, startedAtMs, durationMs: endedAtMs - startedAtMs },
    progress: { ...progress },
    ...(exclusions.length === 0 ? {} : { exclusions: bounded(exclusions) }),
    ...(kind === 'trim' ? { receipt: { askedBytes, confirmedBytes, reclaimedBytes } } : {}),
    ...details,
  };
}

/**
 * What was done after the end was written: a run that is stopped finishes what is under way.
 *
 * @returns null for what is only time.
 */
export function lateFigures(run: Run, delta: Partial<RunProgress>): JsonObject | null {
  const work = Object.entries(delta).filter(([key, value]) => !key.endsWith('Ms') && value !== 0);
  return work.length === 0 ? null : { kind: run.kind, ...Object.fromEntries(work) };
}

/** @param exclusions those that are most first. */
function bounded(exclusions: readonly RunExclusion[]): JsonObject[] {
  const told = exclusions.slice(0, REASONS_MAX).map(({ outcome, reason, count }) => ({
    outcome,
    reason: reason.slice(0, REASON_CHARS_MAX),
    count,
  }));
  for (const outcome of ['skipped', 'failed'] as const) {
    const rest = exclusions.slice(REASONS_MAX).filter((one) => one.outcome === outcome);
    const count = rest.reduce((sum, one) => sum + one.count, 0);
    if (count > 0) told.push({ outcome, reason: 'other reasons', count });
  }
  return told;
}
