/**
 * Threads for all pools of a test file: starting one takes longer than most tests, and what is tested
 * is what they do. Whoever looks at the threads themselves opens a pool with its own.
 */

import { afterAll } from 'vitest';
import { WorkerPool } from '../../src/pool/worker-pool.js';

class SharedWorkers extends WorkerPool {
  readonly #underWay = new Set<Promise<unknown>>();

  override run: WorkerPool['run'] = async (...task) => {
    const done = super.run(...task);
    this.#underWay.add(done);
    try {
      return await done;
    } finally {
      this.#underWay.delete(done);
    }
  };

  /** Of a pool: waits for the tasks under way, and leaves the threads to the next one. */
  override async close(): Promise<void> {
    await Promise.allSettled(this.#underWay);
  }

  end(): Promise<void> {
    return super.close();
  }
}

export const sharedWorkers = new SharedWorkers();

afterAll(() => sharedWorkers.end());
