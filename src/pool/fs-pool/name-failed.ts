/**
 * Gives the failed files that a run tells one by one their paths.
 *
 * A file is opened by its handle, so the kernel knows its path only when somebody came by it lately.
 * For the few that are told all directories are searched; the rest is counted without names.
 */

import { isNamed, renamed } from '../../domain/failed-file.js';
import type { FinishOutcome, PrepareOutcome } from '../../domain/move-tasks.js';
import type { Run } from '../../domain/runs.js';
import type { FsCandidate } from '../../store/fs-candidates.js';
import type { FsPoolContext } from './context.js';
import { movePlace } from './detect.js';

/** Failures of a run that are told one by one. */
export const FAILED_EXAMPLES_MAX = 5;

/** @param control ends the search; then files keep the name that they have. */
export async function nameFailed<T extends PrepareOutcome | FinishOutcome>(
  context: FsPoolContext,
  { runId }: Run,
  control: Int32Array<SharedArrayBuffer>,
  [files, outcomes]: readonly [readonly FsCandidate[], readonly T[]],
): Promise<readonly T[]> {
  const failed = outcomes.flatMap(({ kind }, index) => (kind === 'failed' ? [index] : []));
  if (failed.length === 0) return outcomes;
  const leftCount = FAILED_EXAMPLES_MAX - context.store.candidates.failedReasonCount(runId);
  const nameless = failed.slice(0, Math.max(0, leftCount)).filter((index) => {
    const outcome = outcomes[index];
    return outcome?.kind === 'failed' && !isNamed(outcome.error);
  });
  if (nameless.length === 0) return outcomes;
  const handles = nameless.map((index) => files[index]?.handle ?? '');
  const place = movePlace(context.mount());
  // What was moved must be recorded, whatever the search comes to.
  const task = context.workers.run('name-files', { ...place, handles, control });
  const paths = await task.catch((): readonly (string | null)[] => []);
  return outcomes.map((outcome, index) => {
    const path = paths[nameless.indexOf(index)];
    if (outcome.kind !== 'failed' || !path) return outcome;
    return { ...outcome, error: renamed(outcome.error, path) };
  });
}
