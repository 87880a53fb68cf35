/**
 * Takes a reclamation from step to step.
 *
 * `advance` looks once a second, and after each batch: it begins the run of the next step when the one
 * before is over. The jobs of the flow (src/queue/reclamation-flow.ts) show in Redis where it stands,
 * and analyse: that is the one step which is no run.
 */

import type { WireError } from '../domain/errors.js';
import { defaultBounds } from '../domain/governor.js';
import { TIERS, type Tier } from '../domain/heat.js';
import { quietUntilMs } from '../domain/quiet-hours.js';
import type { EndCause, Reclamation, ReclamationStep, TierDefrag } from '../domain/reclamation.js';
import { currentStep, whyLeaveTier } from '../domain/reclamation-plan.js';
import { isOpen, type Run } from '../domain/runs.js';
import { windowState } from '../pool/cron-window.js';
import type { MaintenanceContext } from '../pool/maintained-pool.js';
import {
  endEarly,
  endReclamation,
  lastRatio,
  type ReclamationGround,
  standing,
} from '../pool/reclamation.js';
import { isWornOut, WORN_OUT } from './wear-budget.js';

/** What a job of the flow is told. */
export interface PhaseReport {
  readonly isOver: boolean;
  readonly state: string;
}

const GONE: PhaseReport = { isOver: true, state: 'superseded' };

export class Reclaimer {
  readonly #ground: ReclamationGround;
  readonly #context: MaintenanceContext;
  readonly #analyze: () => Promise<unknown>;
  #analyzing: Promise<unknown> | null = null;

  /** @param analyze measures and keeps the figures as the last analysis. */
  constructor(ground: ReclamationGround, analyze: () => Promise<unknown>) {
    this.#ground = ground;
    this.#context = ground.context;
    this.#analyze = analyze;
  }

  /** @throws MaintenanceError ERR_TARGET_BUSY when another agent took the pool over. */
  advance(): void {
    const { store } = this.#context;
    if (store.reclamations.open()?.state !== 'running') return;
    store.transaction(() => {
      this.#context.assertOwner();
      let open = store.reclamations.open();
      while (open?.state === 'running' && this.#stepOn(open)) open = store.reclamations.open();
    });
  }

  /**
   * One look by the job of a step; the job of an analysis does it.
   *
   * @param stepIndex null for the job of the whole.
   * @throws what the analysis throws; then the job is tried again.
   */
  async phase(reclamationId: number, stepIndex: number | null): Promise<PhaseReport> {
    const { store } = this.#context;
    this.advance();
    if (stepIndex !== null && this.#isToAnalyze(reclamationId, stepIndex)) {
      await this.#analyzeStep(reclamationId, stepIndex);
      this.advance();
    }
    const reclamation = store.reclamations.get(reclamationId);
    if (!reclamation) return GONE;
    if (stepIndex === null) {
      return { isOver: !isOpen(reclamation.state), state: reclamation.state };
    }
    const step = store.reclamations.steps(reclamationId)[stepIndex];
    if (!step) return GONE;
    return { isOver: step.state !== 'waiting' && step.state !== 'running', state: step.state };
  }

  /** The job of a step failed for good: its reclamation does. */
  phaseFailed(reclamationId: number, stepIndex: number, error: WireError): void {
    const { store, clock } = this.#context;
    store.transaction(() => {
      this.#context.assertOwner();
      const open = store.reclamations.open();
      const step = open && currentStep(store.reclamations.steps(open.reclamationId));
      if (open?.reclamationId !== reclamationId || step?.index !== stepIndex) return;
      store.reclamations.endStep(reclamationId, stepIndex, 'failed', clock(), error.message);
      endEarly(this.#ground, open, 'the step before failed');
      endReclamation(this.#ground, open, { state: 'failed', endCause: null, error });
    });
  }

  #isToAnalyze(reclamationId: number, stepIndex: number): boolean {
    const { reclamations } = this.#context.store;
    const open = reclamations.open();
    if (open?.reclamationId !== reclamationId || open.state !== 'running') return false;
    const step = currentStep(reclamations.steps(reclamationId));
    return step?.index === stepIndex && step.plan.what === 'analyze';
  }

  async #analyzeStep(reclamationId: number, stepIndex: number): Promise<void> {
    const { store, clock } = this.#context;
    store.reclamations.beginStep(reclamationId, stepIndex, null, clock());
    // A job that BullMQ gave to a second worker waits for the first one's analysis.
    this.#analyzing ??= this.#analyze().finally(() => {
      this.#analyzing = null;
    });
    await this.#analyzing;
    store.transaction(() => {
      this.#context.assertOwner();
      if (!this.#isToAnalyze(reclamationId, stepIndex)) return;
      store.reclamations.endStep(reclamationId, stepIndex, 'done', clock());
      if (stepIndex > 0) return;
      const before = standing(this.#ground, lastRatio(this.#context));
      store.reclamations.setBefore(reclamationId, before);
    });
  }

  /** @returns true when something changed, and there may be more to do at once. */
  #stepOn(open: Reclamation): boolean {
    const { store, clock } = this.#context;
    const step = currentStep(store.reclamations.steps(open.reclamationId));
    if (!step) {
      this.#finish(open);
      return false;
    }
    const { timeBudgetMs, startedAtMs } = open;
    if (timeBudgetMs !== null && clock() - startedAtMs >= timeBudgetMs) {
      this.#endBefore(open, 'time-budget', 'its time budget is used');
      return false;
    }
    if (open.trigger !== 'manual' && this.#isClosed()) {
      this.#endBefore(open, 'window-closed', 'its window closed');
      return false;
    }
    if (step.state === 'running') return this.#look(open, step);
    switch (step.plan.what) {
      case 'analyze':
        return false;
      case 'defrag':
        return this.#beginDefrag(open, step, step.plan);
      case 'trim':
        return this.#beginTrim(open, step);
    }
  }

  /** Whether the run of a step is over, and what becomes of the steps after it. */
  #look({ reclamationId }: Reclamation, step: ReclamationStep): boolean {
    const { store, clock } = this.#context;
    const run = step.runId === null ? null : store.runs.get(step.runId);
    if (!run || isOpen(run.state)) return false;
    const state = run.state === 'completed' ? 'done' : run.state;
    if (state === 'running' || state === 'paused') return false;
    const { wearBudgetBytesPerDay } = store.reclamations.scope(run.runId);
    const hasLeft = run.progress.processedCount < run.progress.plannedCount;
    const isWorn = hasLeft && isWornOut(this.#context, wearBudgetBytesPerDay);
    const reason = isWorn ? WORN_OUT : run.error?.message;
    store.reclamations.endStep(reclamationId, step.index, state, clock(), reason);
    if (run.state === 'stopped' && step.plan.what === 'defrag') {
      // Whoever stopped it does not want the next tier to begin.
      for (const later of store.reclamations.steps(reclamationId)) {
        if (later.state !== 'waiting' || later.plan.what !== 'defrag') continue;
        const why = `run ${run.runId} was stopped`;
        store.reclamations.endStep(reclamationId, later.index, 'skipped', clock(), why);
      }
    }
    return true;
  }

  #beginDefrag(open: Reclamation, step: ReclamationStep, plan: TierDefrag): boolean {
    const { store, clock } = this.#context;
    // Somebody else's run comes first, and this one then finds less to do.
    if (store.runs.open('defrag')) return false;
    const tiers = this.#context.settings().lastAnalysis?.tiers ?? null;
    const scope = {
      tiers: [plan.tier],
      minFragments: plan.minFragments,
      hotFirst: plan.hotFirst,
      wearBudgetBytesPerDay:
        open.trigger === 'manual' ? null : store.policies.effective().wearBudgetBytesPerDay,
    };
    const planned = this.#ground.planDefrag(scope);
    const reason =
      (isWornOut(this.#context, scope.wearBudgetBytesPerDay) ? WORN_OUT : null) ??
      whyLeaveTier(plan, tiers) ??
      (planned?.count === 0 ? `nothing is in ${plan.minFragments} fragments or more` : null);
    if (reason !== null) {
      store.reclamations.endStep(open.reclamationId, step.index, 'skipped', clock(), reason);
      return true;
    }
    const runId = this.#insert('defrag', plan, planned ?? { count: 0, bytes: 0 });
    store.reclamations.setScope(runId, scope);
    store.governor.setBounds(runId, {
      sloMs: plan.sloMs,
      pauseOnHighLoad: plan.pauseOnHighLoad,
    });
    store.reclamations.beginStep(open.reclamationId, step.index, runId, clock());
    return false;
  }

  #beginTrim({ reclamationId, scope, trigger }: Reclamation, step: ReclamationStep): boolean {
    const { store, clock } = this.#context;
    if (store.runs.open('trim')) return false;
    const { trim, tiers: of, sloMs } = store.policies.effective();
    const isOf = (tier: Tier) => trigger !== 'freed' || scope === null || tier === scope;
    const tiers = TIERS.filter((tier) => of[tier].trim.enabled && isOf(tier));
    const pace = { intensity: 'medium', threadCount: 1 } as const;
    const runId = this.#insert('trim', pace, this.#ground.planTrim(tiers), trim.secureErase);
    const { pauseOnHighLoad } = defaultBounds(pace.intensity);
    store.governor.setBounds(runId, { sloMs, pauseOnHighLoad });
    store.reclamations.beginStep(reclamationId, step.index, runId, clock());
    return false;
  }

  #insert(
    kind: 'defrag' | 'trim',
    { intensity, threadCount }: Pick<Run, 'intensity' | 'threadCount'>,
    planned: { readonly count: number; readonly bytes: number },
    secureErase = false,
  ): number {
    return this.#context.store.runs.insert({
      ...{ kind, trigger: 'reclamation', intensity, threadCount, secureErase, diskId: null },
      startedAtMs: this.#context.clock(),
      plannedCount: planned.count,
      plannedBytes: planned.bytes,
    });
  }

  #isClosed(): boolean {
    const { store, clock } = this.#context;
    const { windows, quietHours } = store.policies.effective();
    if (quietUntilMs(quietHours, clock()) !== null) return true;
    return windows.length > 0 && windowState(windows, clock()).openUntilMs === null;
  }

  /** What is left is done another time. */
  #endBefore(open: Reclamation, endCause: EndCause, reason: string): void {
    endEarly(this.#ground, open, reason);
    endReclamation(this.#ground, open, { state: 'completed', endCause, error: null });
  }

  /** All steps are over. One that failed did not keep the others from being done. */
  #finish(open: Reclamation): void {
    const { store } = this.#context;
    const steps = store.reclamations.steps(open.reclamationId);
    const failed = steps.find(({ state }) => state === 'failed');
    const isWorn = steps.some(({ reason }) => reason === WORN_OUT);
    const runId = failed?.runId ?? null;
    const error = runId === null ? null : (store.runs.get(runId)?.error ?? null);
    const state = failed ? 'failed' : 'completed';
    endReclamation(this.#ground, open, { state, endCause: isWorn ? 'wear-budget' : null, error });
  }
}
