/** `defrag start` on a mounted file system: the run, or with --dry-run its plan. */

import type { FsRunOptions } from '../domain/fs-runs.js';
import { assertUnclaimed } from '../kernel/file-system-claim.js';
import { stateDirectory } from '../kernel/state-directory.js';
import { assertWritable } from '../pool/fs-pool/detect.js';
import type { LocatedFileSystem } from '../pool/fs-pool/register.js';
import { subtreeOf } from '../pool/fs-pool/subtree.js';
import { mountedOf } from './fs-access.js';
import { beginFsDefrag } from './fs-run-control.js';
import { openFileSystem } from './pool-access.js';
import { textOfHex } from './printable.js';
import { linkQueue } from './queue-link.js';
import type { Output } from './schemas.js';
import type { FsStartOptions, StartOptions } from './start-options.js';
import { runView } from './views.js';
import { waitForRun } from './wait-for-run.js';

type Started = Extract<Output<'defrag start'>, { dryRun: false }>;
type Plan = Extract<Output<'defrag start'>, { dryRun: true }>;

/** @throws MaintenanceError ERR_DISK_UNAVAILABLE, ERR_PERMISSION, ERR_NOT_A_POOL, as `subtreeOf`. */
export async function startFsDefrag(
  located: LocatedFileSystem,
  options: StartOptions,
): Promise<Started> {
  const mount = mountedOf(located);
  const pool = openFileSystem(located, 'write');
  try {
    assertWritable(mount);
    assertUnclaimed(pool.context.fileSystemUuid, stateDirectory());
    const wanted = runOptions(located, options.fileSystem);
    const link = await linkQueue(pool, options.note);
    try {
      const { intensity, threadCount, once, sloMs } = options;
      const begun = beginFsDefrag(pool, { intensity, threadCount, once, options: wanted, sloMs });
      const jobId = await link.enqueue(begun.runId);
      const run = options.wait ? await waitForRun(pool, begun.runId, options.quiet) : begun;
      return {
        schemaVersion: 1,
        dryRun: false,
        intensity,
        threads: threadCount,
        jobId,
        run: runView(pool, run),
      };
    } finally {
      await link.close();
    }
  } finally {
    await pool.close();
  }
}

/** Works without an agent, and on a mount that is not registered. */
export async function planFsDefrag(
  located: LocatedFileSystem,
  options: FsStartOptions,
  threadCount: number,
): Promise<Plan> {
  const [{ planMoves }, { WorkerPool }] = await Promise.all([
    import('../pool/fs-pool/plan-moves.js'),
    import('../pool/worker-pool.js'),
  ]);
  const mount = mountedOf(located);
  const wanted = runOptions(located, options);
  const workers = new WorkerPool();
  try {
    const request = { threadCount, nowMs: Date.now() };
    const plan = await planMoves(workers, mount, wanted, request);
    return {
      schemaVersion: 1,
      kind: 'file-system',
      dryRun: true,
      path: mount.path,
      subtree: wanted.subtree,
      ...plan,
      incomplete: plan.incomplete && {
        ...plan.incomplete,
        details: { ...plan.incomplete.details },
      },
      skipped: [...plan.skipped],
      failed: [...plan.failed],
      files: plan.files.map((file) => ({
        path: file.pathHex === null ? null : textOfHex(file.pathHex),
        ...file,
      })),
    };
  } finally {
    await workers.close();
  }
}

function runOptions(located: LocatedFileSystem, options: FsStartOptions): FsRunOptions {
  const { path, verify, allowUnshare, quietMs } = options;
  const subtree = path === null ? null : subtreeOf(mountedOf(located), path);
  return { subtree, verify, allowUnshare, quietMs };
}
