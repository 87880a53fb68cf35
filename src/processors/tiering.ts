/** Runs of kind `tier`: extents go where their heat belongs, by the rewrite protocol. */

import { TIERS, type Tier } from '../domain/heat.js';
import { nearestTier, TIERING_EVERY_MS } from '../domain/tiering.js';
import type { PoolContext } from '../pool/extent-pool/context.js';

/**
 * Only where passes are enabled, and disks have more than one tier.
 *
 * @returns the run that this call began; null when everything is where it belongs.
 */
export function beginTiering(context: PoolContext): number | null {
  const { store, clock } = context;
  const present = store.tiers.present();
  if (present.size < 2 || !context.settings().defragEnabled) return null;
  return store.transaction(() => {
    const nowMs = clock();
    const last = store.runs.last('tier');
    if (last && (last.endedAtMs === null || nowMs - last.endedAtMs < TIERING_EVERY_MS)) return null;
    const places = TIERS.map((tier) => [tier, nearestTier(tier, present)] as const);
    store.tiers.retag(nowMs, Object.fromEntries(places) as Record<Tier, Tier>);
    const planned = store.tiers.planMisplaced();
    if (planned.count === 0) return null;
    return store.runs.insert({
      kind: 'tier',
      trigger: 'schedule',
      intensity: context.settings().defragIntensity,
      threadCount: context.settings().defragThreadCount,
      diskId: null,
      secureErase: false,
      startedAtMs: nowMs,
      plannedCount: planned.count,
      plannedBytes: planned.bytes,
    });
  });
}
