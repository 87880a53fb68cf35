/** Starts, finds and stops the agent of this node, from a command. */

import { spawn } from 'node:child_process';
import { openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentInfo } from '../domain/agent-info.js';
import { MaintenanceError } from '../domain/errors.js';
import { agentIsRunning, readAgentFile } from '../kernel/agent-file.js';
import { packageRoot } from '../kernel/package-root.js';
import { makeStateDirectory } from '../kernel/state-directory.js';

const START_TIMEOUT_MS = 20_000;
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
  const running = readAgentFile(stateDirectory);
  if (running) return { info: running, started: false, logPath };
  const started = !agentIsRunning(stateDirectory);
  let exitCode: number | null = null;
  if (started) {
    const log = openSync(logPath, 'a', 0o600);
    const child = spawn(process.execPath, [join(packageRoot(), 'bin', 'run.js'), 'agent', 'run'], {
      detached: true,
      stdio: ['ignore', log, log],
      cwd: '/',
    });
    child.on('exit', (code) => {
      exitCode = code ?? 1;
    });
    child.unref();
  }
  const deadlineMs = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    const info = readAgentFile(stateDirectory);
    if (info) return { info, started, logPath };
    // Two commands may start an agent at once: one of the two finds the lock taken, and that is fine.
    const lost = exitCode !== null && !agentIsRunning(stateDirectory);
    if (lost || Date.now() > deadlineMs) throw didNotStart(logPath);
    await sleep(LOOK_EVERY_MS);
  }
}

/** @returns null when none runs, or it is not ready yet. */
export function findAgent(): AgentInfo | null {
  return readAgentFile(makeStateDirectory());
}

/** Asks the agent to drain and waits until it is gone. @returns false when none ran. */
export async function stopAgent(): Promise<boolean> {
  const stateDirectory = makeStateDirectory();
  const info = readAgentFile(stateDirectory);
  if (!info) return false;
  process.kill(info.pid, 'SIGTERM');
  const deadlineMs = Date.now() + STOP_TIMEOUT_MS;
  while (agentIsRunning(stateDirectory)) {
    if (Date.now() > deadlineMs) {
      throw new MaintenanceError(
        'ERR_AGENT',
        `agent ${info.pid} still finishes what is under way`,
        {
          nextStep: 'Wait for it, or look into its log for a disk that does not answer.',
        },
      );
    }
    await sleep(LOOK_EVERY_MS);
  }
  return true;
}

function didNotStart(logPath: string): MaintenanceError {
  return new MaintenanceError('ERR_AGENT', 'the agent did not start', {
    nextStep: `See ${logPath}, or run it in the foreground: \`dynamicfs agent run\`.`,
  });
}
