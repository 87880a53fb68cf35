/** A defragmentation as a step of a reclamation, begun in the store as an agent begins it. */

import type { ReclamationTrigger, StepPlan } from '../../src/domain/reclamation.js';
import type { MaintenanceContext } from '../../src/pool/maintained-pool.js';

const STANDING = { fragmentationRatio: 1, capacityBytes: 0, usedBytes: 0, pendingBytes: 0 };
const TIER: StepPlan = {
  what: 'defrag',
  tier: 'warm',
  ...{ intensity: 'high', threadCount: 2, minFragments: 2, hotFirst: true },
  ...{ pauseOnHighLoad: false, sloMs: null, thresholdRatio: 0 },
};

/** @returns the run. Nothing else may be open. */
export function beginDefragStep(
  { store, clock }: MaintenanceContext,
  trigger: ReclamationTrigger = 'schedule',
): number {
  return store.transaction(() => {
    const reclamationId = store.reclamations.insert(
      {
        ...{ trigger, scope: null, reason: 'a test', actor: 'agent', policyVersion: 0 },
        ...{ timeBudgetMs: null, startedAtMs: clock(), before: STANDING },
      },
      [TIER],
    );
    const runId = store.runs.insert({
      ...{ kind: 'defrag', trigger: 'reclamation', intensity: 'high', threadCount: 2 },
      ...{ diskId: null, secureErase: false, startedAtMs: clock() },
      ...{ plannedCount: 0, plannedBytes: 0 },
    });
    store.reclamations.beginStep(reclamationId, 0, runId, clock());
    return runId;
  });
}

/** So that the next one can begin. */
export function endReclamationOf({ store, clock }: MaintenanceContext, runId: number): void {
  const outcome = store.reclamations.open()?.outcome;
  const reclamationId = store.reclamations.ofRun(runId);
  if (!outcome || reclamationId === null) throw new Error('no reclamation is open');
  store.transaction(() => {
    store.reclamations.end(reclamationId, {
      ...{ state: 'completed', endCause: null, error: null, helped: true, outcome },
      ...{ endedAtMs: clock(), after: { ...STANDING, fragmentationRatio: 0 } },
    });
  });
}
