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

/** For `agent stop`: what the agent could not wait for. Safe while: its lock is held. */
export function writeAgentLeft(stateDirectory: string, paths: readonly string[]): void {
  writeFileSync(agentLeftFile(stateDirectory), JSON.stringify(paths), { mode: 0o600 });
}

/** @returns what the last agent left, once; nothing as a rule. */
export function takeAgentLeft(stateDirectory: string): string[] {
  const path = agentLeftFile(stateDirectory);
  try {
    const left = JSON.parse(readFileSync(path, 'utf8')) as string[];
    rmSync(path, { force: true });
    return left;
  } catch {
    return [];
  }
}

function agentLeftFile(stateDirectory: string): string {
  return join(stateDirectory, 'agent-left.json');
}

function agentFile(stateDirectory: string): string {
  return join(stateDirectory, 'agent.json');
}
