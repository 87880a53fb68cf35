/** Runs programs and says what they cost: wall time, processor time, memory. */

import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
export const COMMAND = join(REPOSITORY, 'bin', 'run.js');
const MEMORY_PROBE = new URL('./memory-probe.mjs', import.meta.url).href;

/** Bash's own clock around the program: this process's spawning is not in it. */
const TIMED = 'TIMEFORMAT="%R %U %S"; time "$@" > /dev/null';

/**
 * @returns `{ wallMs, cpuMs }`; standard output goes to /dev/null.
 * @throws Error with what the program said when it fails.
 */
export function measureProgram(program, args, env = {}) {
  const result = spawnSync('bash', ['--norc', '-c', TIMED, 'bash', program, ...args], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
  });
  const lines = result.stderr.trim().split('\n');
  if (result.status !== 0) {
    throw new Error(`${program} ${args.join(' ')} failed: ${lines.slice(0, -1).join('\n')}`);
  }
  const [wall, user, system] = lines.at(-1).split(' ').map(Number);
  return { wallMs: wall * 1000, cpuMs: (user + system) * 1000 };
}

/** As `measureProgram`, for a command of dynamicfs. */
export function measureCommand(args, env = {}) {
  return measureProgram(process.execPath, [COMMAND, ...args], env);
}

/**
 * The most memory that a command ever held.
 *
 * Not `ru_maxrss`: that is inherited over exec, and would tell the memory of this process.
 */
export function measureCommandMemory(args, env = {}) {
  const file = join(tmpdir(), `dynamicfs-bench-memory-${process.pid}`);
  try {
    measureProgram(process.execPath, ['--import', MEMORY_PROBE, COMMAND, ...args], {
      ...env,
      DYNAMICFS_BENCH_MEMORY_FILE: file,
    });
    return Number(readFileSync(file, 'utf8'));
  } finally {
    rmSync(file, { force: true });
  }
}

/** Runs a command of dynamicfs with `--json`. @returns what it printed. */
export function runCommand(args, env = {}) {
  const result = spawnSync(process.execPath, [COMMAND, ...args, '--json'], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
    maxBuffer: 64 << 20,
  });
  if (result.status !== 0) {
    throw new Error(`dynamicfs ${args.join(' ')} failed: ${result.stdout}${result.stderr}`);
  }
  return JSON.parse(result.stdout);
}

/** @returns the value of a `kB` line of /proc/PID/status, in bytes. */
export function memoryBytes(pid, field) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
}

/** Processor time of a process so far, its threads included. Source: proc(5), fields 14 and 15. */
export function cpuMs(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const TICK_MS = 10;
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}
