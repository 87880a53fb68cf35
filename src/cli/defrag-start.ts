/** `defrag start` and `defrag resume`: the two that need an agent at work. */

import type { MaintainedPool } from '../pool/maintained-pool.js';
import { fileSystemsOnly, locate, withPool } from './pool-access.js';
import { linkQueue } from './queue-link.js';
import { beginDefrag } from './run-control.js';
import { setDefragPaused } from './run-pause.js';
import type { Output } from './schemas.js';
import type { FsStartOptions, StartOptions } from './start-options.js';
import { runView } from './views.js';
import { waitForRun } from './wait-for-run.js';

type Started = Extract<Output<'defrag start'>, { dryRun: false }>;

/** @throws MaintenanceError ERR_AGENT, ERR_QUEUE before anything was changed. */
export async function startDefrag(poolPath: string, options: StartOptions): Promise<Started> {
  const located = locate(poolPath);
  if (located) {
    const { startFsDefrag } = await import('./fs-defrag.js');
    return await startFsDefrag(located, options);
  }
  refuseFsOptions(options.fileSystem);
  return await startExtentDefrag(poolPath, options);
}

/** @throws MaintenanceError ERR_UNSUPPORTED for an extent pool, whose runs plan as they go. */
export async function planDefrag(
  poolPath: string,
  options: FsStartOptions,
  threadCount: number,
): Promise<Extract<Output<'defrag start'>, { dryRun: true }>> {
  const located = locate(poolPath);
  if (!located) throw fileSystemsOnly('--dry-run');
  const { planFsDefrag } = await import('./fs-defrag.js');
  return await planFsDefrag(located, options, threadCount);
}

function refuseFsOptions(options: FsStartOptions): void {
  const { path, verify, allowUnshare } = options;
  if (path !== null) throw fileSystemsOnly('--path');
  if (!verify) throw fileSystemsOnly('--no-verify');
  if (allowUnshare) throw fileSystemsOnly('--allow-unshare');
}

function startExtentDefrag(poolPath: string, options: StartOptions): Promise<Started> {
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
        dryRun: false,
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
  pool: MaintainedPool,
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
