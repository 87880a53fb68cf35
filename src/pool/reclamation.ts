/** Begins, pauses and ends reclamations: in SQLite, from a command or from the agent. */

import type { Intensity } from '../domain/defrag-plan.js';
import { MaintenanceError, type WireError } from '../domain/errors.js';
import type { Tier } from '../domain/heat.js';
import { type PauseRequest, PLAIN_PAUSE } from '../domain/pauses.js';
import type {
  EndCause,
  PoolStanding,
  Reclamation,
  ReclamationTrigger,
  RunScope,
} from '../domain/reclamation.js';
import { currentStep, hasHelped, outcomeOf, planSteps } from '../domain/reclamation-plan.js';
import type { MaintenanceContext } from './maintained-pool.js';
import { notePause } from './pauses.js';

/** What a reclamation asks of a pool that is particular to its kind. */
export interface ReclamationGround {
  readonly context: MaintenanceContext;
  space(): Omit<PoolStanding, 'fragmentationRatio'>;
  /** @returns null where only the run's own scan can tell. */
  planDefrag(scope: RunScope): { count: number; bytes: number } | null;
  /** @param tiers of disks. */
  planTrim(tiers: readonly Tier[]): { count: number; bytes: number };
}

export interface ReclamationRequest {
  readonly trigger: ReclamationTrigger;
  readonly scope: Tier | null;
  /** With the figures that were compared. */
  readonly reason: string;
  readonly actor: string;
  /** No step works harder than this; null for what the policy says. */
  readonly intensityMax?: Intensity | null;
}

/**
 * Who asks for one has its budgets in mind already: they hold for what begins by itself only.
 *
 * @throws MaintenanceError ERR_TARGET_BUSY while another one is open.
 */
export function beginReclamation(
  ground: ReclamationGround,
  { intensityMax = null, ...request }: ReclamationRequest,
): Reclamation {
  const { store, clock } = ground.context;
  return store.transaction(() => {
    const open = store.reclamations.open();
    if (open) throw isOpenAlready(open);
    const policy = store.policies.effective();
    const reclamationId = store.reclamations.insert(
      {
        ...request,
        policyVersion: store.policies.current().version,
        timeBudgetMs: request.trigger === 'manual' ? null : policy.timeBudgetMs,
        startedAtMs: clock(),
        before: standing(ground, lastRatio(ground.context)),
      },
      planSteps(policy, request.trigger, intensityMax),
    );
    const reclamation = store.reclamations.get(reclamationId) as Reclamation;
    const { trigger, scope, reason, actor, timeBudgetMs, before } = reclamation;
    store.ledger.append({
      ...{ atMs: clock(), event: 'reclamation-began', actor, reason, reclamationId },
      figures: { trigger, scope, timeBudgetMs, before },
    });
    return reclamation;
  });
}

/**
 * The whole of it: its run, too.
 *
 * @param request why, and of a pause for how long.
 * @throws MaintenanceError ERR_TARGET_NOT_FOUND when none is open.
 */
export function setReclamationPaused(
  { context }: Pick<ReclamationGround, 'context'>,
  paused: boolean,
  request: Partial<PauseRequest> = {},
): Reclamation {
  const { store, clock } = context;
  return store.transaction(() => {
    const open = openOne(context);
    const { reclamationId } = open;
    store.reclamations.setPaused(reclamationId, paused);
    if (paused) {
      const subject = { kind: 'reclamation', id: reclamationId } as const;
      notePause(context, subject, { ...PLAIN_PAUSE, ...request });
    } else if (open.state === 'paused') {
      const reason = request.reason ?? null;
      store.ledger.append({ atMs: clock(), event: 'reclamation-resumed', reason, reclamationId });
    }
    const runId = currentStep(store.reclamations.steps(reclamationId))?.runId ?? null;
    if (runId !== null) store.runs.setState(runId, paused ? 'paused' : 'running', clock());
    return store.reclamations.get(reclamationId) as Reclamation;
  });
}

/**
 * What was done stays done; what is under way ends after its step.
 *
 * @throws MaintenanceError ERR_TARGET_NOT_FOUND when none is open.
 */
export function stopReclamation(ground: ReclamationGround): Reclamation {
  const { store } = ground.context;
  return store.transaction(() => {
    const open = openOne(ground.context);
    endEarly(ground, open, 'it was stopped');
    return endReclamation(ground, open, { state: 'stopped', endCause: null, error: null });
  });
}

/** Ends the run under way and leaves out what has not begun. Safe while: in a transaction. */
export function endEarly({ context }: ReclamationGround, open: Reclamation, reason: string): void {
  const { store, clock } = context;
  for (const step of store.reclamations.steps(open.reclamationId)) {
    if (step.state === 'running') {
      if (step.runId !== null) store.runs.setState(step.runId, 'stopped', clock());
      store.reclamations.endStep(open.reclamationId, step.index, 'stopped', clock(), reason);
    } else if (step.state === 'waiting') {
      store.reclamations.endStep(open.reclamationId, step.index, 'skipped', clock(), reason);
    }
  }
}

export interface ReclamationEnding {
  readonly state: 'completed' | 'stopped' | 'failed';
  readonly endCause: EndCause | null;
  readonly error: WireError | null;
}

/** Safe while: in a transaction, and no step is under way. */
export function endReclamation(
  ground: ReclamationGround,
  { reclamationId }: Reclamation,
  ending: ReclamationEnding,
): Reclamation {
  const { store, clock } = ground.context;
  const { trigger, before, startedAtMs, policyVersion } = store.reclamations.get(
    reclamationId,
  ) as Reclamation;
  const steps = store.reclamations.steps(reclamationId);
  const runs = steps.flatMap(({ runId }) => (runId === null ? [] : [store.runs.get(runId)]));
  const outcome = outcomeOf(runs.filter((run) => run !== null));
  const moved = steps.filter(({ plan, runId }) => plan.what === 'defrag' && runId !== null);
  // An analysis from before the last move says nothing of now.
  const sinceMs = Math.max(0, ...moved.map(({ endedAtMs }) => endedAtMs ?? 0));
  const after = standing(ground, lastRatio(ground.context, sinceMs));
  const helped = hasHelped({ trigger }, before, after, outcome);
  const endedAtMs = clock();
  store.reclamations.end(reclamationId, { ...ending, endedAtMs, after, outcome, helped });
  store.ledger.append({
    ...{ atMs: endedAtMs, event: 'reclamation-ended', reclamationId, policyVersion },
    reason: ending.error?.message ?? ending.endCause,
    figures: {
      ...{ state: ending.state, trigger, durationMs: endedAtMs - startedAtMs, helped },
      ...{ ...outcome, before, after },
    },
  });
  return store.reclamations.get(reclamationId) as Reclamation;
}

/** @returns null when the last analysis is older than `sinceMs`, or there is none. */
export function lastRatio(context: MaintenanceContext, sinceMs = 0): number | null {
  const last = context.settings().lastAnalysis;
  return last && last.analyzedAtMs >= sinceMs ? last.fragmentationRatio : null;
}

export function standing(
  ground: ReclamationGround,
  fragmentationRatio: number | null,
): PoolStanding {
  return { ...ground.space(), fragmentationRatio };
}

function openOne({ store, path }: MaintenanceContext): Reclamation {
  const open = store.reclamations.open();
  if (open) return open;
  throw new MaintenanceError('ERR_TARGET_NOT_FOUND', `no reclamation runs on ${path}`, {
    nextStep: 'Start one with `dynamicfs reclamation run`.',
  });
}

function isOpenAlready({ reclamationId, state }: Reclamation): MaintenanceError {
  return new MaintenanceError('ERR_TARGET_BUSY', `reclamation ${reclamationId} is ${state}`, {
    nextStep: 'See `dynamicfs reclamation status`, or end it with `dynamicfs reclamation stop`.',
  });
}
