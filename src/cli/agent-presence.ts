/** Tells a command that waits for the agent when there is none any more. */

import { MaintenanceError } from '../domain/errors.js';
import { agentIsRunning } from '../kernel/agent-file.js';
import { stateDirectory } from '../kernel/state-directory.js';

/** An agent that is started again takes its runs up by itself. */
const AWAY_MS_MAX = 15_000;

export class AgentPresence {
  readonly #awaited: string;
  #seenAtMs = Date.now();

  /** @param awaited what the command waits for, such as `run 12`. */
  constructor(awaited: string) {
    this.#awaited = awaited;
  }

  /**
   * An agent that shares a Redis of its own may run on another machine: there nobody can tell.
   *
   * @throws MaintenanceError ERR_AGENT once it has been away for long.
   */
  assert(): void {
    if (process.env.DYNAMICFS_REDIS_URL) return;
    if (agentIsRunning(stateDirectory())) this.#seenAtMs = Date.now();
    if (Date.now() - this.#seenAtMs <= AWAY_MS_MAX) return;
    throw new MaintenanceError('ERR_AGENT', `the agent is gone; ${this.#awaited} waits for it`, {
      nextStep: 'Start it again: `dynamicfs agent start`. It continues where it was.',
    });
  }
}
