/** `defrag analyze`: here and now, or as a job of the agent. */

import { MAP_COLUMNS, MAP_ROWS } from './map-text.js';
import { withPool } from './pool-access.js';
import { linkQueue } from './queue-link.js';
import type { Output } from './schemas.js';

type AnalyzeView = Extract<Output<'defrag analyze'>, { tiers: unknown }>;
type QueuedView = Extract<Output<'defrag analyze'>, { jobId: unknown }>;

export function analyze(poolPath: string, withMaps: boolean): Promise<AnalyzeView> {
  return withPool(poolPath, 'read', (pool) => {
    const analysis = pool.analyze();
    const maps = withMaps
      ? pool.disks().map(({ uuid, path }) => {
          const { cellBytes, cells } = pool.map(path, MAP_COLUMNS * MAP_ROWS);
          return { diskId: uuid, path, cellBytes, cells: [...cells] };
        })
      : null;
    return {
      schemaVersion: 1,
      ...analysis,
      disks: analysis.disks.map((disk) => ({ ...disk, freeRuns: [...disk.freeRuns] })),
      tiers: [...analysis.tiers] as AnalyzeView['tiers'],
      maps,
    };
  });
}

export function queueAnalysis(
  poolPath: string,
  note: (message: string) => void,
): Promise<QueuedView> {
  return withPool(poolPath, 'write', async (pool) => {
    const link = await linkQueue(pool, note);
    try {
      return { schemaVersion: 1, jobId: await link.queues.addAnalyze() };
    } finally {
      await link.close();
    }
  });
}
