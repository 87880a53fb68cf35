/** Finds and removes what a test run left: processes by its id, devices and mounts by its root. */

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface TestRun {
  readonly runId: string;
  /** Absolute, without symbolic links: the kernel names files that way. The first holds its owner. */
  readonly rootPaths: readonly string[];
}

/** What a test has stopped may need a moment to be gone; a run that was killed stops nothing. */
const GRACE_MS = 15_000;

/** What is mounted or attached is let go by the kernel a moment after its last user. */
const BUSY_MS_MAX = 20_000;

/** @returns a line for each thing that was left; all of them are gone, with the roots. */
export async function cleanUp(run: TestRun, graceMs = GRACE_MS): Promise<string[]> {
  const leaks: string[] = [];

  for (const pid of await settled(() => processesOf(run.runId), graceMs)) {
    leaks.push(`process ${pid}: ${commandLine(pid)}`);
    kill(pid);
  }
  await settled(() => processesOf(run.runId));

  const mounts = run.rootPaths.flatMap(mountsUnder);
  const devices = run.rootPaths.flatMap(loopDevicesUnder);
  leaks.push(...mounts.map((path) => `mount ${path}`));
  leaks.push(...devices.map(({ device, backingPath }) => `loop device ${device}: ${backingPath}`));
  await letGo(run);

  for (const path of run.rootPaths) rmSync(path, { recursive: true, force: true });
  return leaks;
}

/**
 * Turn by turn, as one may hold the other: a file system its device, a device the image on a mount.
 *
 * @throws Error with what `umount` or `losetup` said when something stays.
 */
async function letGo({ rootPaths }: TestRun): Promise<void> {
  const endAtMs = performance.now() + BUSY_MS_MAX;
  for (;;) {
    let failure: unknown = null;
    const attempt = (program: string, args: readonly string[]) => {
      try {
        execFileSync(program, args, { stdio: 'pipe' });
      } catch (cause) {
        failure = cause;
      }
    };
    // The innermost mount first: the outer one is busy until then.
    for (const path of rootPaths.flatMap(mountsUnder).reverse()) attempt('umount', [path]);
    const devices = rootPaths.flatMap(loopDevicesUnder);
    for (const { device } of devices) attempt('losetup', ['--detach', device]);
    if ([...rootPaths.flatMap(mountsUnder), ...devices].length === 0) return;
    if (performance.now() > endAtMs) throw failure ?? new Error(`still attached: ${devices}`);
    await sleep(100);
  }
}

/** @returns `null` when there is no such process. */
export function processStartTicks(pid: number): string | null {
  return statFields(pid)?.[19] ?? null;
}

/** Asks until the answer is empty or the grace is over. */
async function settled<T>(ask: () => readonly T[], graceMs = GRACE_MS): Promise<readonly T[]> {
  const endAtMs = performance.now() + graceMs;
  for (;;) {
    const answer = ask();
    if (answer.length === 0 || performance.now() > endAtMs) return answer;
    await sleep(50);
  }
}

function processesOf(runId: string): number[] {
  const ours = familyOfThisProcess();
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => !ours.has(pid) && parentPid(pid) !== process.pid)
    .filter((pid) =>
      readProc(`${pid}/environ`).split('\0').includes(`DYNAMICFS_TEST_RUN=${runId}`),
    );
}

/** vitest itself and what started it. Its direct children are its workers, which it ends itself. */
function familyOfThisProcess(): ReadonlySet<number> {
  const family = new Set<number>();
  for (let pid: number | null = process.pid; pid !== null && pid > 0; pid = parentPid(pid)) {
    family.add(pid);
  }
  return family;
}

function parentPid(pid: number): number | null {
  const parent = statFields(pid)?.[1];
  return parent === undefined ? null : Number(parent);
}

/** From the state on: the name before it may hold spaces and parentheses. Source: proc(5). */
function statFields(pid: number): string[] | null {
  const stat = readProc(`${pid}/stat`);
  return stat === '' ? null : stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function commandLine(pid: number): string {
  return readProc(`${pid}/cmdline`).split('\0').join(' ').trim().slice(0, 200);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself since.
  }
}

/** In the order of mounting. Source: proc(5), mountinfo. */
function mountsUnder(rootPath: string): string[] {
  return readProc('self/mountinfo')
    .split('\n')
    .map((line) => (line.split(' ')[4] ?? '').replace(/\\040/g, ' '))
    .filter((path) => path === rootPath || path.startsWith(`${rootPath}/`));
}

function loopDevicesUnder(rootPath: string): { device: string; backingPath: string }[] {
  return readdirSync('/sys/block')
    .filter((name) => name.startsWith('loop'))
    .map((name) => ({
      device: `/dev/${basename(name)}`,
      backingPath: readOrEmpty(`/sys/block/${name}/loop/backing_file`).trim(),
    }))
    .filter(({ backingPath }) => backingPath.startsWith(`${rootPath}/`));
}

function readProc(path: string): string {
  return readOrEmpty(`/proc/${path}`);
}

/** Processes and devices come and go, and those of other users cannot be read. */
function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
