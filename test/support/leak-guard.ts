/**
 * Fails the run when a test leaves something behind: a process, a mount, a loop device.
 *
 * Every process of the run inherits its id in DYNAMICFS_TEST_RUN, and every file lies under the
 * temporary root DYNAMICFS_TEST_TMP, so what is found and cleaned up is exactly this run's.
 * A run that was killed cannot clean up: the next one does it when the owner of a root is dead.
 */

import { randomUUID } from 'node:crypto';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cleanUp, processStartTicks, type TestRun } from './leaks.js';

const ROOT_PREFIX = 'dynamicfs-test-';

interface Owner {
  readonly runId: string;
  readonly pid: number;
  /** With the pid it names a process for good: pids are used again. */
  readonly startTicks: string | null;
}

/** @returns the teardown; vitest runs it after the last test. */
export default async function guardAgainstLeaks(): Promise<() => Promise<void>> {
  await cleanUpDeadRuns();

  const runId = randomUUID();
  const rootPath = mkdtempSync(join(realpathSync(tmpdir()), ROOT_PREFIX));
  const owner: Owner = { runId, pid: process.pid, startTicks: processStartTicks(process.pid) };
  writeFileSync(join(rootPath, 'owner.json'), JSON.stringify(owner));
  process.env.DYNAMICFS_TEST_RUN = runId;
  process.env.DYNAMICFS_TEST_TMP = rootPath;

  return async () => {
    const leaks = await cleanUp({ runId, rootPath });
    if (leaks.length === 0) return;
    reportLeaks(leaks);
    // vitest prints what a teardown throws and then exits as if nothing was wrong.
    process.exitCode = 1;
    throw new Error(`the tests left ${leaks.length} behind:\n  ${leaks.join('\n  ')}`);
  };
}

/** scripts/test.mjs adds them to what failed. */
function reportLeaks(leaks: readonly string[]): void {
  const directory = process.env.DYNAMICFS_TEST_REPORT;
  if (directory !== undefined) writeFileSync(join(directory, 'leaks.json'), JSON.stringify(leaks));
}

async function cleanUpDeadRuns(): Promise<void> {
  for (const run of deadRuns(realpathSync(tmpdir()))) {
    const leaks = await cleanUp(run);
    const found = leaks.length === 0 ? '' : `: ${leaks.join(', ')}`;
    console.warn(`cleaned up after a test run that was killed, ${run.rootPath}${found}`);
  }
}

function deadRuns(directory: string): TestRun[] {
  const runs: TestRun[] = [];
  for (const name of readdirSync(directory)) {
    const rootPath = join(directory, name);
    const ownerPath = join(rootPath, 'owner.json');
    // Without an owner it may be a run that starts at this moment.
    if (!name.startsWith(ROOT_PREFIX) || !existsSync(ownerPath)) continue;
    const owner = JSON.parse(readFileSync(ownerPath, 'utf8')) as Owner;
    if (processStartTicks(owner.pid) === owner.startTicks) continue;
    runs.push({ runId: owner.runId, rootPath });
  }
  return runs;
}
