/** Runs as if they had been measured: the times of a real disk are not for a test to decide. */

import { GIB, MIB } from '../../src/domain/units.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';

const FIRST_RUN_ID = 1_000;

/** @param gains share of the reading time that each saved, the oldest first; all began by themselves. */
export function recordPaybacks(
  { context: { store, clock } }: ExtentPool,
  gains: readonly number[],
): void {
  store.transaction(() => {
    for (const [index, gain] of gains.entries()) {
      const runId = FIRST_RUN_ID + index;
      const begun = {
        runId,
        reclamationId: null,
        trigger: 'schedule',
        media: 'solid-state',
      } as const;
      store.paybacks.begin({ ...begun, startedAtMs: clock(), skippedReason: null }, []);
      const figures = {
        ...{ itemCount: 64, droppedCount: 0, sampleBytes: 64 * MIB, rewrittenBytes: GIB },
        ...{ beforeMs: 100, afterMs: 100 - 100 * gain, busyMs: 10_000 },
      };
      store.paybacks.end(runId, clock(), { figures, skippedReason: null });
    }
  });
}
