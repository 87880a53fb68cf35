/** `defrag start` and `defrag resume`: the two that need an agent at work. */

import type { ExtentPool } from '../pool/extent-pool/extent-pool.js';
import { withPool } from './pool-access.js';
import { linkQueue } from './queue-link.js';
import { beginDefrag, type DefragIntent, setDefragPaused } from './run-control.js';
import type { Output } from './schemas.js';
import { runView } from './views.js';
import { waitForRun } from './wait-for-run.js';

export interface StartOptions extends DefragIntent {
  readonly wait: boolean;
  readonly quiet: boolean;
  readonly note: (message: string) => void;
}

/** @throws MaintenanceError ERR_AGENT, ERR_QUEUE before anything was changed. */
export function startDefrag(
  poolPath: string,
  options: StartOptions,
): Promise<Output<'defrag start'>> {
  return withPool(poolPath, 'write', async (pool) => {
    const link = await linkQueue(pool, options.note);
    try {
      const { intensity, threadCount } = options;
      const begun = beginDefrag(pool, options);
      const jobId = begun && (await link.enqueue(begun.runId));
      const run =
        begun && options.wait ? await waitForRun(pool, begun.runId, options.quiet) : begun;
      return {
        schemaVersion: 1,
        intensity,
        threads: threadCount,
        jobId,
        run: run && runView(pool, run),
      };
    } finally {
      await link.close();
    }
  });
}

export async function resumeDefrag(
  pool: ExtentPool,
  note: (message: string) => void,
): Promise<void> {
  const link = await linkQueue(pool, note);
  try {
    const run = setDefragPaused(pool, false);
    await link.enqueue(run.runId);
  } finally {
    await link.close();
  }
}
