/** `defrag start` and `defrag resume`: the two that need an agent at work. */

import { QUIET_MS_DEFAULT } from '../domain/fs-runs.js';
import type { MaintainedPool } from '../pool/maintained-pool.js';
import { fileSystemsOnly, locate, withPool } from './pool-access.js';
import { linkQueue } from './queue-link.js';
import { beginDefrag, type DefragIntent, setDefragPaused } from './run-control.js';
import type { Output } from './schemas.js';
import { runView } from './views.js';
import { waitForRun } from './wait-for-run.js';

export interface StartOptions extends DefragIntent {
  readonly wait: boolean;
  readonly quiet: boolean;
  readonly note: (message: string) => void;
  readonly fileSystem: FsStartOptions;
}

/** What only mounted file systems know. */
export interface FsStartOptions {
  readonly path: string | null;
  readonly verify: boolean;
  readonly allowUnshare: boolean;
  readonly quietMs: number;
}

export const NO_FS_START_OPTIONS: FsStartOptions = {
  path: null,
  verify: true,
  allowUnshare: false,
  quietMs: QUIET_MS_DEFAULT,
};

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
