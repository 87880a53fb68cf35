/** What `agent` commands show. */

import { makeStateDirectory } from '../kernel/state-directory.js';
import { Registry } from '../store/registry.js';
import { ensureAgent, findAgent } from './agent-control.js';
import { printable } from './printable.js';
import type { Output } from './schemas.js';

export async function startAgent(note: (message: string) => void): Promise<void> {
  const { started, info, logPath } = await ensureAgent();
  note(started ? `Started agent ${info.pid}, log ${logPath}` : `Agent ${info.pid} runs already`);
}

export function agentStatus(): Output<'agent status'> {
  const stateDirectory = makeStateDirectory();
  const info = findAgent();
  const registry = new Registry(stateDirectory);
  try {
    return {
      schemaVersion: 1,
      running: info !== null,
      pid: info?.pid ?? null,
      version: info?.version ?? null,
      startedAtMs: info?.startedAtMs ?? null,
      httpUrl: info?.httpUrl ?? null,
      redis: info?.redis ?? null,
      stateDirectory,
      pools: registry.all().map(({ poolId, path, kind }) => ({ poolId, path, kind })),
    };
  } finally {
    registry.close();
  }
}

export function agentStatusText(status: Output<'agent status'>): string {
  const lines = [
    'Agent Status:',
    `  Running: ${status.running}`,
    `  State directory: ${status.stateDirectory}`,
  ];
  if (status.pid !== null) lines.push(`  Process: ${status.pid}, dynamicfs ${status.version}`);
  if (status.httpUrl) lines.push(`  Pages: ${status.httpUrl} (metrics, health, queues)`);
  if (status.redis) lines.push(`  Redis: ${status.redis}`);
  for (const { path } of status.pools) lines.push(`  Pool: ${printable(path)}`);
  return lines.join('\n');
}
