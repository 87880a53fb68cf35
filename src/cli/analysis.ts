/** `defrag analyze`: here and now, or as a job of the agent. */

import type { ExtentPool } from '../pool/extent-pool/extent-pool.js';
import type { AnalyzeOptions } from './fs-analysis.js';
import { fsAnalysisText } from './fs-text.js';
import { MAP_COLUMNS, MAP_ROWS } from './map-text.js';
import { fileSystemsOnly, locate, withAnyPool, withPool } from './pool-access.js';
import { linkQueue } from './queue-link.js';
import type { Output } from './schemas.js';
import { analysisText } from './text.js';

type AnalyzeView = Extract<Output<'defrag analyze'>, { tiers: unknown }>;
type ExtentAnalyzeView = Extract<AnalyzeView, { kind: 'extent' }>;
type QueuedView = Extract<Output<'defrag analyze'>, { jobId: unknown }>;

/** @throws MaintenanceError as `analyzeFileSystem`; ERR_UNSUPPORTED for a path in an extent pool. */
export async function analyze(poolPath: string, options: AnalyzeOptions): Promise<AnalyzeView> {
  const located = locate(poolPath);
  if (located) {
    const { analyzeFileSystem } = await import('./fs-analysis.js');
    return await analyzeFileSystem(located, options);
  }
  if (options.path !== null) throw fileSystemsOnly('--path');
  return await withPool(poolPath, 'read', (pool) => analyzeExtents(pool, options.withMaps));
}

function analyzeExtents(pool: ExtentPool, withMaps: boolean): ExtentAnalyzeView {
  const analysis = pool.analyze();
  const maps = withMaps
    ? pool.disks().map(({ uuid, path }) => {
        const { cellBytes, cells } = pool.map(path, MAP_COLUMNS * MAP_ROWS);
        return { diskId: uuid, path, cellBytes, cells: [...cells] };
      })
    : null;
  return {
    schemaVersion: 1,
    kind: 'extent',
    ...analysis,
    disks: analysis.disks.map((disk) => ({ ...disk, freeRuns: [...disk.freeRuns] })),
    tiers: [...analysis.tiers] as ExtentAnalyzeView['tiers'],
    maps,
  };
}

export function queueAnalysis(
  poolPath: string,
  note: (message: string) => void,
): Promise<QueuedView> {
  return withAnyPool(poolPath, 'write', async (pool) => {
    const link = await linkQueue(pool, note);
    try {
      return { schemaVersion: 1, jobId: await link.queues.addAnalyze() };
    } finally {
      await link.close();
    }
  });
}

/** For people. */
export function anyAnalysisText(analysis: AnalyzeView): string {
  return analysis.kind === 'extent' ? analysisText(analysis) : fsAnalysisText(analysis);
}
