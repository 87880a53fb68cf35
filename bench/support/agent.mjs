/** An agent of its own for a benchmark, with its own state directory and Redis. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { COMMAND } from './child.mjs';
import { adopt } from './scratch.mjs';

const READY_MS_MAX = 20_000;
const STOP_MS_MAX = 20_000;

/** @returns the process, once it says that it is ready. */
export async function startAgent(env) {
  const agent = adopt(
    spawn(process.execPath, [COMMAND, 'agent', 'run', '--http', '127.0.0.1:0'], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    }),
  );
  let said = '';
  const ready = new Promise((resolve, reject) => {
    agent.stderr.on('data', (chunk) => {
      said += chunk;
      if (said.includes('is ready')) resolve();
    });
    agent.once('exit', () => reject(new Error(`the agent did not start: ${said}`)));
  });
  await Promise.race([ready, sleep(READY_MS_MAX, null, { ref: false }).then(() => tooLate(said))]);
  return agent;
}

export async function stopAgent(agent) {
  agent.kill('SIGTERM');
  await Promise.race([once(agent, 'exit'), sleep(STOP_MS_MAX, null, { ref: false })]);
}

/** Ids of the processes that `pid` started. */
export function childrenOf(pid) {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean),
  );
}

function tooLate(said) {
  throw new Error(`the agent was not ready after ${READY_MS_MAX} ms: ${said}`);
}
