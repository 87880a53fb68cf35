/** `reclamation`: begins, follows, pauses and ends the whole of a pool's maintenance as one. */

import { setTimeout as sleep } from 'node:timers/promises';
import { InvariantError, MaintenanceError } from '../domain/errors.js';
import type { PauseRequest } from '../domain/pauses.js';
import { PRESET_DESCRIPTIONS } from '../domain/policy.js';
import type { Reclamation } from '../domain/reclamation.js';
import { currentStep, outcomeOf } from '../domain/reclamation-plan.js';
import { isOpen } from '../domain/runs.js';
import { processActor } from '../kernel/actor.js';
import type { ExtentPool } from '../pool/extent-pool/extent-pool.js';
import { ExtentPoolGround } from '../pool/extent-pool/reclamation-ground.js';
import type { FsPool } from '../pool/fs-pool/fs-pool.js';
import { FsPoolGround } from '../pool/fs-pool/reclamation-ground.js';
import type { MaintainedPool } from '../pool/maintained-pool.js';
import { pauseOf } from '../pool/pauses.js';
import {
  beginReclamation,
  type ReclamationGround,
  setReclamationPaused,
  stopReclamation,
} from '../pool/reclamation.js';
import { AgentPresence } from './agent-presence.js';
import { governorView } from './governor-view.js';
import { pausedQueues } from './paused-queues.js';
import { withAnyPool } from './pool-access.js';
import { startProgress } from './progress.js';
import { linkQueue } from './queue-link.js';
import type { ReclamationView } from './reclamation-schemas.js';
import type { Output } from './schemas.js';
import { trendView } from './trends-view.js';
import { runView } from './views.js';

const LOOK_EVERY_MS = 100;

export interface ReclamationStart {
  readonly wait: boolean;
  readonly quiet: boolean;
  readonly note: (message: string) => void;
}

export function groundOf(pool: ExtentPool | FsPool): ReclamationGround {
  return pool.kind === 'extent'
    ? new ExtentPoolGround(pool.context)
    : new FsPoolGround(pool.context);
}

/** @throws MaintenanceError ERR_TARGET_BUSY while one is open, ERR_QUEUE, ERR_AGENT, ERR_INTERRUPTED. */
export function startReclamation(path: string, start: ReclamationStart): Promise<ReclamationView> {
  return withAnyPool(path, 'write', async (pool) => {
    const link = await linkQueue(pool, start.note);
    try {
      const actor = processActor();
      const request = { trigger: 'manual', scope: null, reason: `asked for by ${actor}`, actor };
      const { reclamationId } = beginReclamation(groundOf(pool), { ...request, trigger: 'manual' });
      const { reclamations } = pool.context.store;
      await link.queues.addReclamation(reclamationId, () => reclamations.steps(reclamationId));
      if (start.wait) await followReclamation(pool, reclamationId, start.quiet);
      return reclamationView(pool, get(pool, reclamationId));
    } finally {
      await link.close();
    }
  });
}

export function pauseReclamation(path: string, request: PauseRequest): Promise<ReclamationView> {
  return withAnyPool(path, 'write', (pool) =>
    reclamationView(pool, setReclamationPaused(groundOf(pool), true, request)),
  );
}

/** @throws MaintenanceError ERR_TARGET_NOT_FOUND when none is open, ERR_QUEUE, ERR_AGENT. */
export function resumeReclamation(
  path: string,
  note: (message: string) => void,
): Promise<ReclamationView> {
  return withAnyPool(path, 'write', async (pool) => {
    const link = await linkQueue(pool, note);
    try {
      return reclamationView(pool, setReclamationPaused(groundOf(pool), false));
    } finally {
      await link.close();
    }
  });
}

export function endOpenReclamation(path: string): Promise<ReclamationView> {
  return withAnyPool(path, 'write', (pool) =>
    reclamationView(pool, stopReclamation(groundOf(pool))),
  );
}

/** @param recentCount how many of those that ended. */
export function reclamationStatus(
  path: string,
  recentCount: number,
): Promise<Output<'reclamation status'>> {
  return withAnyPool(path, 'read', async (pool) => {
    const { policies, reclamations } = pool.context.store;
    const { document, version } = policies.current();
    const totals = reclamations.endedTotals();
    const open = reclamations.open();
    const recent = reclamations
      .recent(recentCount + 1)
      .filter(({ state }) => !isOpen(state))
      .slice(0, recentCount);
    return {
      schemaVersion: 1,
      policy: {
        preset: document.preset,
        description: PRESET_DESCRIPTIONS[document.preset],
        enabled: policies.effective().enabled,
        version,
      },
      statistics: {
        reclamationCount: totals.count,
        reclaimedBytes: totals.reclaimedBytes,
        defragmentedCount: totals.defragmentedCount,
      },
      open: open && reclamationView(pool, open),
      pausedQueues: open && (await pausedQueues(pool.id)),
      governor: governorView(pool),
      trends: trendView(pool),
      recent: recent.map((one) => reclamationView(pool, one)),
    };
  });
}

function reclamationView(pool: MaintainedPool, reclamation: Reclamation): ReclamationView {
  const { store } = pool.context;
  const { outcome, error, ...rest } = reclamation;
  const steps = store.reclamations.steps(reclamation.reclamationId);
  const runs = steps.map(({ runId }) => (runId === null ? null : store.runs.get(runId)));
  return {
    ...rest,
    // Of one that goes on: so far.
    ...(isOpen(rest.state) ? outcomeOf(runs.filter((run) => run !== null)) : outcome),
    error: error && { ...error, details: { ...error.details } },
    pause: pauseOf(pool.context, { kind: 'reclamation', id: reclamation.reclamationId }),
    steps: steps.map(({ plan, state, reason, startedAtMs, endedAtMs }, index) => {
      const [tier, intensity] = plan.what === 'defrag' ? [plan.tier, plan.intensity] : [null, null];
      const run = runs[index] ?? null;
      const shown = { what: plan.what, tier, intensity, state, reason, startedAtMs, endedAtMs };
      return { ...shown, run: run && runView(pool, run) };
    }),
  };
}

/** @throws MaintenanceError ERR_INTERRUPTED on Ctrl-C, ERR_AGENT when the agent is gone. */
async function followReclamation(
  pool: MaintainedPool,
  reclamationId: number,
  quiet: boolean,
): Promise<void> {
  const { reclamations } = pool.context.store;
  const total = reclamations.steps(reclamationId).length;
  const progress = await startProgress({ label: 'reclaim', unit: 'steps', total, quiet });
  const presence = new AgentPresence(`reclamation ${reclamationId}`);
  let isInterrupted = false;
  const interrupt = () => {
    isInterrupted = true;
  };
  process.once('SIGINT', interrupt);
  try {
    while (isOpen(get(pool, reclamationId).state)) {
      const steps = reclamations.steps(reclamationId);
      const step = currentStep(steps);
      progress.update(step?.index ?? steps.length, step ? stepText(pool, step) : '');
      if (isInterrupted) throw stoppedWaiting(reclamationId);
      presence.assert();
      await sleep(LOOK_EVERY_MS);
    }
  } finally {
    process.off('SIGINT', interrupt);
    progress.stop();
  }
}

function stepText(
  { context }: MaintainedPool,
  { plan, runId }: NonNullable<ReturnType<typeof currentStep>>,
): string {
  const name = plan.what === 'defrag' ? `defrag ${plan.tier}` : plan.what;
  const run = runId === null ? null : context.store.runs.get(runId);
  if (!run) return name;
  const { processedCount, plannedCount } = run.progress;
  return `${name}: ${processedCount} of ${Math.max(plannedCount, processedCount)}`;
}

function get({ context }: MaintainedPool, reclamationId: number): Reclamation {
  const reclamation = context.store.reclamations.get(reclamationId);
  if (!reclamation) throw new InvariantError(`reclamation ${reclamationId} is gone`);
  return reclamation;
}

function stoppedWaiting(reclamationId: number): MaintenanceError {
  const message = `stopped waiting; reclamation ${reclamationId} goes on`;
  return new MaintenanceError('ERR_INTERRUPTED', message, {
    nextStep: 'Stop it with `dynamicfs reclamation stop`.',
  });
}
