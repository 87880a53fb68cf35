/** Whether moving data pays on a pool, by its last runs and how fragmented it has become since. */

import {
  judgePayback,
  type LastPayback,
  lastPayback,
  type PaybackVerdict,
  VERDICT_TEXTS,
} from '../domain/payback.js';
import { DAY_MS } from '../domain/trends.js';
import type { PaybackFact } from '../domain/trigger-facts.js';
import type { MaintenanceContext } from './maintained-pool.js';

const RUNS_LOOKED_AT = 20;

export function paybackVerdict({
  store,
  clock,
}: Pick<MaintenanceContext, 'store' | 'clock'>): PaybackVerdict {
  const nowMs = clock();
  const newestFirst = store.paybacks.recent(RUNS_LOOKED_AT);
  const reclamationId = newestFirst[0]?.reclamationId ?? null;
  const last = reclamationId === null ? null : store.reclamations.get(reclamationId);
  const figures = store.trends.points('hour', nowMs - DAY_MS, nowMs).at(-1)?.figures;
  return judgePayback(newestFirst, nowMs, {
    afterRatio: last?.after?.fragmentationRatio ?? null,
    nowRatio: figures?.fragmentationRatio ?? null,
  });
}

/** @returns null when none of the last runs was measured. */
export function lastMeasured({ store }: Pick<MaintenanceContext, 'store'>): LastPayback | null {
  return lastPayback(store.paybacks.recent(RUNS_LOOKED_AT));
}

/** What a trigger is told. */
export function paybackFact(context: MaintenanceContext): PaybackFact {
  const { verdict, text, backsOffUntilMs } = paybackVerdict(context);
  return { backsOffUntilMs, reason: `${VERDICT_TEXTS[verdict]}: ${text}` };
}
