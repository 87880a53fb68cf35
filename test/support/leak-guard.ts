/**
 * Fails the run when a test leaves something behind: a process, a mount, a loop device.
 *
 * Every process of the run inherits its id in DYNAMICFS_TEST_RUN, and every file lies under one of
 * its temporary roots, so what is found and cleaned up is exactly this run's. A run that is killed
 * cannot clean up: a janitor in a session of its own does it at once. Should that be killed too, the
 * next run does it.
 */

import type { StdioOptions } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  accessSync,
  constants,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawnTypeScript } from './child.js';
import { cleanUp, processStartTicks, type TestRun } from './leaks.js';

const ROOT_PREFIX = 'dynamicfs-test-';
/** Tests that do not look at blocks need no disk, whose flushes are what they would wait for. */
const MEMORY_DIRECTORY = '/dev/shm';
const JANITOR_STDIO: StdioOptions = ['pipe', 'ignore', 'ignore', 'pipe'];

interface Owner extends TestRun {
  readonly pid: number;
  /** With the pid it names a process for good: pids are used again. */
  readonly startTicks: string | null;
}

/** @returns the teardown; vitest runs it after the last test. */
export default async function guardAgainstLeaks(): Promise<() => Promise<void>> {
  await cleanUpDeadRuns();

  const runId = randomUUID();
  const rootPath = mkdtempSync(join(realpathSync(tmpdir()), ROOT_PREFIX));
  const memoryPath = isWritable(MEMORY_DIRECTORY)
    ? mkdtempSync(join(realpathSync(MEMORY_DIRECTORY), ROOT_PREFIX))
    : rootPath;
  const run: TestRun = { runId, rootPaths: [...new Set([rootPath, memoryPath])] };
  const owner: Owner = { ...run, pid: process.pid, startTicks: processStartTicks(process.pid) };
  writeFileSync(join(rootPath, 'owner.json'), JSON.stringify(owner));
  startJanitor(run);
  process.env.DYNAMICFS_TEST_RUN = runId;
  process.env.DYNAMICFS_TEST_TMP = rootPath;
  process.env.DYNAMICFS_TEST_MEMORY = memoryPath;

  return async () => {
    const leaks = await cleanUp(run);
    if (leaks.length === 0) return;
    reportLeaks(leaks);
    // vitest prints what a teardown throws and then exits as if nothing was wrong.
    process.exitCode = 1;
    throw new Error(`the tests left ${leaks.length} behind:\n  ${leaks.join('\n  ')}`);
  };
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** The fourth of its streams closes when this process is gone, however it ended. */
function startJanitor(run: TestRun): void {
  const source = `
    import { Socket } from 'node:net';
    import { cleanUp } from './test/support/leaks.ts';
    new Socket({ fd: 3 }).resume().on('close', () => cleanUp(${JSON.stringify(run)}, 0));
  `;
  const janitor = spawnTypeScript(source, {}, { detached: true, stdio: JANITOR_STDIO });
  (janitor.stdio[3] as Socket).unref();
  janitor.unref();
}

/** scripts/test.mjs adds them to what failed. */
function reportLeaks(leaks: readonly string[]): void {
  const directory = process.env.DYNAMICFS_TEST_REPORT;
  if (directory !== undefined) writeFileSync(join(directory, 'leaks.json'), JSON.stringify(leaks));
}

async function cleanUpDeadRuns(): Promise<void> {
  for (const run of deadRuns(realpathSync(tmpdir()))) {
    const leaks = await cleanUp(run, 0);
    const found = leaks.length === 0 ? '' : `: ${leaks.join(', ')}`;
    console.warn(`cleaned up after a test run that was killed, ${run.rootPaths[0]}${found}`);
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
    runs.push({ runId: owner.runId, rootPaths: owner.rootPaths ?? [rootPath] });
  }
  return runs;
}
