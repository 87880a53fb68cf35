/** The agent as a process: started as an operator does, watched by its log, ended every way there is. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { packageRoot } from '../../src/kernel/package-root.js';
import type { ChildEnd } from './child.js';

const READY_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 120_000;

export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly [key: string]: unknown;
}

export interface AgentProcess {
  readonly pid: number;
  /** Resolves when it serves; rejects, with what it printed, when it ended instead. */
  ready(): Promise<void>;
  /** Where it serves its pages. */
  url(): string;
  /** All that it logged so far. */
  log(): LogLine[];
  /** As a power cut would. */
  kill(): Promise<ChildEnd>;
  /** SIGTERM; it must end by itself. */
  stop(): Promise<ChildEnd>;
  /** When it ends by itself. */
  ended(): Promise<ChildEnd>;
}

export function spawnAgent(env: NodeJS.ProcessEnv, args: readonly string[] = []): AgentProcess {
  const child = spawnCommand(['agent', 'run', ...args], env);
  const output = { stdout: '', stderr: '' };
  const ended = collect(child, output);
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    const late = sleep(STOP_TIMEOUT_MS, null, { ref: false });
    const result = await Promise.race([ended, late]);
    if (result) return result;
    child.kill('SIGKILL');
    await ended;
    throw new Error(`the agent did not end after ${signal}:\n${output.stdout}${output.stderr}`);
  };
  return {
    pid: child.pid ?? 0,
    ready: async () => {
      const endAtMs = performance.now() + READY_TIMEOUT_MS;
      while (!output.stderr.includes('is ready')) {
        if (child.exitCode !== null || child.signalCode !== null || performance.now() > endAtMs) {
          throw new Error(`the agent did not get ready:\n${output.stdout}${output.stderr}`);
        }
        await sleep(10);
      }
    },
    url: () => /http:\/\/\S+/.exec(output.stderr)?.[0] ?? '',
    log: () =>
      output.stdout
        .split('\n')
        .filter((line) => line.startsWith('{') && line.endsWith('}'))
        .map((line) => JSON.parse(line) as LogLine),
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
    ended: () => ended,
  };
}

/** Runs `dynamicfs` to its end. */
export function runCommand(args: readonly string[], env: NodeJS.ProcessEnv): Promise<ChildEnd> {
  return collect(spawnCommand(args, env), { stdout: '', stderr: '' });
}

/** A command that is still under way. */
export function spawnCommand(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  stdin: 'ignore' | 'pipe' = 'ignore',
): ChildProcess {
  return spawn(process.execPath, [join(packageRoot(), 'bin', 'run.js'), ...args], {
    env: { ...process.env, ...env },
    stdio: [stdin, 'pipe', 'pipe'],
  });
}

/** Not `close`: an agent that was killed leaves a Redis which holds its standard error. */
async function collect(
  child: ChildProcess,
  output: { stdout: string; stderr: string },
): Promise<ChildEnd> {
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
  }
  // Asked for before it ends: it comes with the end, mostly, and would be waited for in vain after that.
  const closed = once(child, 'close');
  await once(child, 'exit');
  // What it printed last may still be in the pipe.
  await Promise.race([closed, sleep(500, null, { ref: false })]);
  return { code: child.exitCode, signal: child.signalCode, ...output };
}
