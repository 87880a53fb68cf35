/** Runs the agent until it is told to stop. `dynamicfs agent run` starts this. */

import { existsSync, readdirSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import type { AgentInfo } from '../domain/agent-info.js';
import { endProcess } from '../kernel/end-process.js';
import { Agent, type AgentOptions } from './agent.js';

const EXIT_GRACE_MS = 1_000;
const TASKS_PATH = '/proc/self/task';

/**
 * @param onReady called once the agent serves.
 * @returns when it has drained after SIGTERM or SIGINT.
 * @throws MaintenanceError as `Agent.start`.
 */
export async function runAgent(
  options: AgentOptions,
  onReady: (info: AgentInfo) => void,
): Promise<void> {
  yieldProcessor();
  optimizeLate();
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

/**
 * What it does can wait. On Linux a priority is that of a thread, and threads inherit it: those that Node
 * collects its garbage with are there already.
 */
function yieldProcessor(): void {
  for (const threadId of readdirSync(TASKS_PATH)) {
    try {
      setPriority(Number(threadId), constants.priority.PRIORITY_BELOW_NORMAL);
    } catch (cause) {
      // Some of them end by themselves.
      if (existsSync(join(TASKS_PATH, threadId))) throw cause;
    }
  }
}

/** Twenty times as late as by default. Node.js 24 has a compiler in between that is cheap enough. */
const OPTIMIZE_LATE: Readonly<Record<string, string>> = {
  20: '--interrupt-budget=1320000',
  22: '--invocation-count-for-turbofan=60000',
};

/**
 * Each thread compiles its code for itself, and what a run needs of it is hardly used often enough to win
 * that back: it took a third of the user time of a run over 6,000 files. Before the first thread starts.
 */
function optimizeLate(): void {
  const flag = OPTIMIZE_LATE[process.versions.node.split('.', 1).join()];
  if (flag !== undefined) setFlagsFromString(flag);
}
