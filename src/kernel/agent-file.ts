/**
 * How processes of this node find the agent: the lock that it holds while it lives, and `agent.json`,
 * written once it is ready. The lock is the truth; the file may outlive its agent.
 */

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AgentInfo } from '../domain/agent-info.js';
import { type FileLock, tryLockFile } from './file-lock.js';

/** @returns null when an agent runs on this state directory already. */
export function lockAgent(stateDirectory: string): FileLock | null {
  return tryLockFile(join(stateDirectory, 'agent.lock'));
}

export function agentIsRunning(stateDirectory: string): boolean {
  const lock = lockAgent(stateDirectory);
  lock?.release();
  return lock === null;
}

export function writeAgentFile(stateDirectory: string, info: AgentInfo): void {
  const path = agentFile(stateDirectory);
  writeFileSync(`${path}.new`, JSON.stringify(info), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

export function removeAgentFile(stateDirectory: string): void {
  rmSync(agentFile(stateDirectory), { force: true });
}

/** @returns null when no agent runs, or the one that starts is not ready yet. */
export function readAgentFile(stateDirectory: string): AgentInfo | null {
  if (!agentIsRunning(stateDirectory)) return null;
  try {
    return JSON.parse(readFileSync(agentFile(stateDirectory), 'utf8')) as AgentInfo;
  } catch {
    return null;
  }
}

function agentFile(stateDirectory: string): string {
  return join(stateDirectory, 'agent.json');
}
