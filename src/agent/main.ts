/** Runs the agent until it is told to stop. `dynamicfs agent run` starts this. */

import { constants, setPriority } from 'node:os';
import type { AgentInfo } from '../domain/agent-info.js';
import { endProcess } from '../kernel/end-process.js';
import { Agent, type AgentOptions } from './agent.js';

const EXIT_GRACE_MS = 1_000;

/**
 * @param onReady called once the agent serves.
 * @returns when it has drained after SIGTERM or SIGINT.
 * @throws MaintenanceError as `Agent.start`.
 */
export async function runAgent(
  options: AgentOptions,
  onReady: (info: AgentInfo) => void,
): Promise<void> {
  // What it does can wait. The threads that it starts later inherit this.
  setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
  const agent = new Agent(options);
  const told = new Promise<void>((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
  onReady(await agent.start());
  await told;
  await agent.stop();
  // Nothing else ends a process of which a thread waits for a disk that hangs.
  if (agent.left.length > 0) endProcess(0);
  // A connection that still waits for a Redis that is away must not keep the process.
  setTimeout(() => process.exit(), EXIT_GRACE_MS).unref();
}
