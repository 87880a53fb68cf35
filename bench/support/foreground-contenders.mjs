/**
 * Whoever defragments while others work: our agent, or the tool of a file system. Each can be frozen
 * and thawed, so that times with it and without it take turns.
 *
 *   begin → (freeze → thaw)* → end
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startAgent, stopAgent } from './agent.mjs';
import { runCommand } from './child.mjs';
import { adopt } from './scratch.mjs';

/** From the begin of a run until all threads of the agent have started. */
const SETTLE_MS = 1_500;
const FROZEN_MS_MAX = 20_000;
const POLL_MS = 500;
const DONE_MS_MAX = 180_000;

/** A process, whose threads are frozen between two calls of the kernel, never within one. */
class Freezable {
  /** Set by whoever extends this. */
  process = null;

  get isOver() {
    const { exitCode, signalCode } = this.process;
    return exitCode !== null || signalCode !== null;
  }

  async freeze() {
    this.process.kill('SIGSTOP');
    const endAtMs = Date.now() + FROZEN_MS_MAX;
    while (!this.isOver && !isFrozen(this.process.pid)) {
      if (Date.now() > endAtMs) throw new Error('a call of the kernel takes too long');
      await sleep(10);
    }
  }

  thaw() {
    this.process.kill('SIGCONT');
  }
}

/** Source: proc(5), /proc/pid/stat: the state follows the name, which may hold anything. */
function isFrozen(pid) {
  try {
    return readdirSync(`/proc/${pid}/task`).every((task) => {
      const stat = readFileSync(`/proc/${pid}/task/${task}/stat`, 'utf8');
      return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
    });
  } catch {
    return false;
  }
}

export class Ours extends Freezable {
  #env;
  #pool;
  #how;

  /**
   * @param env of the agent, for example with the governor switched off.
   * @param pool path of the pool.
   * @param how flags of `defrag start`.
   */
  constructor(env, pool, how) {
    super();
    this.#env = env;
    this.#pool = ['--pool', pool];
    this.#how = how;
  }

  async prepare() {
    this.process = await startAgent(this.#env);
  }

  /** The command has ended, with its run begun, before the time counts. */
  async begin() {
    runCommand(['defrag', 'start', ...this.#pool, ...this.#how], this.#env);
    await sleep(SETTLE_MS);
  }

  /** @returns how long the run went on until it was done, when nobody else was at work any more. */
  async finish() {
    const beganAtMs = Date.now();
    for (;;) {
      const { run } = runCommand(['defrag', 'status', ...this.#pool], this.#env);
      if (run.failedCount > 0) throw new Error(`${run.failedCount} files failed`);
      if (run.state === 'completed') return Date.now() - beganAtMs;
      if (Date.now() > beganAtMs + DONE_MS_MAX) throw new Error(`the run is ${run.state} still`);
      await sleep(POLL_MS);
    }
  }

  /** Whatever is left is left. */
  async end() {
    const { run } = runCommand(['defrag', 'status', ...this.#pool], this.#env);
    if (run.state === 'running') runCommand(['defrag', 'stop', ...this.#pool], this.#env);
    if (run.failedCount > 0) throw new Error(`${run.failedCount} files failed`);
    await stopAgent(this.process);
  }
}

export class Tool extends Freezable {
  #command;

  constructor(command) {
    super();
    this.#command = command;
  }

  async prepare() {}

  async begin() {
    const [program, ...args] = this.#command;
    this.process = adopt(spawn(program, args, { stdio: 'ignore' }));
    await once(this.process, 'spawn');
  }

  async end() {
    if (this.isOver) return;
    const ended = once(this.process, 'exit');
    this.process.kill('SIGKILL');
    await ended;
  }
}

export function filesOf(tree) {
  return readdirSync(tree, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
