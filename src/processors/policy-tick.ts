/**
 * Job `policy-tick`: once a minute, look whether the pool wants anything done, and do the housekeeping
 * that no run does.
 */

import { trimDue } from '../domain/trim-schedule.js';
import type { PoolContext } from '../pool/extent-pool/context.js';
import { compactJournals } from '../pool/extent-pool/snapshot.js';
import { beginTiering } from './tiering.js';
import { recordTrend } from './trends.js';

export interface TickReport {
  /** The trim that this tick began. */
  readonly trimRunId: number | null;
  /** The move between tiers that it began. */
  readonly tierRunId: number | null;
  readonly orphanCount: number;
  readonly compactedJournalCount: number;
}

export function processPolicyTick(context: PoolContext): TickReport {
  context.refreshDisks();
  recordTrend(context);
  return {
    orphanCount: context.returnOrphans(),
    compactedJournalCount: compactJournals(context),
    trimRunId: beginDueTrim(context),
    tierRunId: beginTiering(context),
  };
}

function beginDueTrim(context: PoolContext): number | null {
  const { store, clock } = context;
  return store.transaction(() => {
    const settings = context.settings();
    const { enabled, trim } = store.policies.effective();
    if (!enabled || !trim.enabled || store.runs.open('trim')) return null;
    const nowMs = clock();
    let pendingBytes = 0;
    let pendingRunCount = 0;
    for (const disk of store.disks.all()) {
      const due = store.discards.dueTotals(disk.diskId, nowMs);
      pendingBytes += due.bytes;
      pendingRunCount += due.runCount;
    }
    const lastTrimAtMs = store.totals.read().trim_last_at_ms || settings.createdAtMs;
    const trigger = trimDue(trim.intensity, pendingBytes, lastTrimAtMs, nowMs);
    if (!trigger) return null;
    return store.runs.insert({
      kind: 'trim',
      trigger,
      intensity: 'medium',
      threadCount: 1,
      diskId: null,
      secureErase: trim.secureErase,
      startedAtMs: nowMs,
      plannedCount: pendingRunCount,
      plannedBytes: pendingBytes,
    });
  });
}
