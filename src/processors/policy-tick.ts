/**
 * Job `policy-tick`: once a minute, look whether the pool wants anything done, and do the housekeeping
 * that no run does.
 */

import type { ExtentPoolGround } from '../pool/extent-pool/reclamation-ground.js';
import { compactJournals } from '../pool/extent-pool/snapshot.js';
import { beginWanted } from './begin-wanted.js';
import { beginTiering } from './tiering.js';
import { recordTrend } from './trends.js';

export interface TickReport {
  /** What this tick began. */
  readonly reclamationId: number | null;
  /** The move between tiers that it began. */
  readonly tierRunId: number | null;
  readonly orphanCount: number;
  readonly compactedJournalCount: number;
}

export function processPolicyTick(ground: ExtentPoolGround): TickReport {
  const { context } = ground;
  context.refreshDisks();
  recordTrend(context);
  return {
    orphanCount: context.returnOrphans(),
    compactedJournalCount: compactJournals(context),
    reclamationId: beginWanted(ground),
    tierRunId: beginTiering(context),
  };
}
