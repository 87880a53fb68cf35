/** Follows a run in SQLite, where its truth is, until it is over. */

import { setTimeout as sleep } from 'node:timers/promises';
import { InvariantError, MaintenanceError } from '../domain/errors.js';
import { isOpen, type Run } from '../domain/runs.js';
import type { MaintainedPool } from '../pool/maintained-pool.js';
import { AgentPresence } from './agent-presence.js';
import { startProgress } from './progress.js';

const LOOK_EVERY_MS = 100;

/**
 * @returns the run, completed, stopped or failed.
 * @throws MaintenanceError ERR_INTERRUPTED on Ctrl-C, ERR_AGENT when the agent is gone; the run goes on,
 *   or will, without this command.
 */
export async function waitForRun(
  pool: MaintainedPool,
  runId: number,
  quiet: boolean,
): Promise<Run> {
  const first = getRun(pool, runId);
  const unit = unitOf(pool, first);
  const total = first.progress.plannedCount;
  const progress = await startProgress({ label: first.kind, unit, total, quiet });
  let interrupted = false;
  const interrupt = () => {
    interrupted = true;
  };
  process.once('SIGINT', interrupt);
  const presence = new AgentPresence(`run ${runId}`);
  try {
    for (;;) {
      const run = getRun(pool, runId);
      const { processedCount, plannedCount } = run.progress;
      progress.setTotal(Math.max(plannedCount, processedCount));
      progress.update(processedCount, run.state === 'paused' ? 'paused' : '');
      if (!isOpen(run.state)) return run;
      if (interrupted) throw stoppedWaiting(runId);
      presence.assert();
      await sleep(LOOK_EVERY_MS);
    }
  } finally {
    process.off('SIGINT', interrupt);
    progress.stop();
  }
}

function unitOf(
  pool: MaintainedPool,
  { kind }: Run,
): 'ranges' | 'windows' | 'extents' | 'files' | 'replicas' {
  const isExtent = pool.kind === 'extent';
  if (kind === 'scrub') return 'replicas';
  if (kind === 'trim') return isExtent ? 'ranges' : 'windows';
  return isExtent ? 'extents' : 'files';
}

function getRun(pool: MaintainedPool, runId: number): Run {
  const run = pool.context.store.runs.get(runId);
  if (!run) throw new InvariantError(`run ${runId} is gone`);
  return run;
}

function stoppedWaiting(runId: number): MaintenanceError {
  return new MaintenanceError('ERR_INTERRUPTED', `stopped waiting; run ${runId} goes on`, {
    nextStep: 'Stop the run itself with `dynamicfs defrag stop` (or trim stop, scrub stop).',
  });
}
