/** Starts, finds and stops the agent of this node, from a command. */

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentInfo } from '../domain/agent-info.js';
import { MaintenanceError } from '../domain/errors.js';
import { agentIsRunning, readAgentFile, takeAgentLeft } from '../kernel/agent-file.js';
import { packageRoot } from '../kernel/package-root.js';
import { makeStateDirectory } from '../kernel/state-directory.js';

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 120_000;
const LOOK_EVERY_MS = 50;

export interface StartedAgent {
  readonly info: AgentInfo;
  /** False when it ran already. */
  readonly started: boolean;
  readonly logPath: string;
}

/**
 * Makes sure that an agent serves this node's state directory, in the background.
 *
 * @throws MaintenanceError ERR_AGENT, naming its log, when it does not get ready.
 */
export async function ensureAgent(): Promise<StartedAgent> {
  const stateDirectory = makeStateDirectory();
  const logPath = join(stateDirectory, 'agent.log');
  const deadlineMs = Date.now() + START_TIMEOUT_MS;
  let child: ChildProcess | null = null;
  for (;;) {
    const info = readAgentFile(stateDirectory);
    if (info) return { info, started: info.pid === child?.pid, logPath };
    if (Date.now() > deadlineMs) throw didNotStart(logPath);
    if (!agentIsRunning(stateDirectory)) {
      // Nobody has the lock: none ran, or one that was draining is gone by now.
      child ??= spawnAgent(logPath);
      if (child.exitCode !== null || child.signalCode !== null) throw didNotStart(logPath);
    }
    await sleep(LOOK_EVERY_MS);
  }
}

function spawnAgent(logPath: string): ChildProcess {
  const log = openSync(logPath, 'a', 0o600);
  const child = spawn(process.execPath, [join(packageRoot(), 'bin', 'run.js'), 'agent', 'run'], {
    detached: true,
    stdio: ['ignore', log, log],
    cwd: '/',
  });
  closeSync(log);
  child.unref();
  return child;
}

/** @returns null when none runs, or it is not ready yet. */
export function findAgent(): AgentInfo | null {
  return readAgentFile(makeStateDirectory());
}

export interface StoppedAgent {
  /** False when none ran. */
  readonly found: boolean;
  /** Disks and pools that it could not wait for. */
  readonly left: readonly string[];
}

/** Asks the agent to drain and waits until it is gone. */
export async function stopAgent(): Promise<StoppedAgent> {
  const stateDirectory = makeStateDirectory();
  const deadlineMs = Date.now() + STOP_TIMEOUT_MS;
  let toldPid: number | null = null;
  let found = false;
  while (agentIsRunning(stateDirectory)) {
    found = true;
    // One that drains already has no file any more, and one that starts has none yet.
    const info = readAgentFile(stateDirectory);
    if (info && info.pid !== toldPid) {
      toldPid = info.pid;
      tellToEnd(info.pid);
    }
    if (Date.now() > deadlineMs) throw stillDraining(toldPid);
    await sleep(LOOK_EVERY_MS);
  }
  return { found, left: found ? takeAgentLeft(stateDirectory) : [] };
}

function tellToEnd(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ESRCH') throw cause;
    // It ended by itself since.
  }
}

function stillDraining(pid: number | null): MaintenanceError {
  return new MaintenanceError('ERR_AGENT', `agent ${pid ?? ''} still finishes what is under way`, {
    nextStep: 'Wait for it, or look into its log for a disk that does not answer.',
  });
}

function didNotStart(logPath: string): MaintenanceError {
  return new MaintenanceError('ERR_AGENT', 'the agent did not start', {
    nextStep: `See ${logPath}, or run it in the foreground: \`dynamicfs agent run\`.`,
  });
}
