/**
 * The fencing counter of a pool: the agent that works on it holds the highest epoch.
 *
 * A lock alone is not enough: a process that was stopped for a while still believes that it holds
 * one. Every transaction that swaps fragments or frees space checks its epoch first.
 */

import { MaintenanceError } from '../domain/errors.js';
import { type Db, transaction } from './database.js';

export interface Owner {
  readonly epoch: number;
  readonly holder: string;
  readonly acquiredAtMs: number;
}

export class OwnerStore {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  read(): Owner | null {
    const row = this.#db
      .prepare('SELECT epoch, holder, acquired_at_ms AS acquiredAtMs FROM owner WHERE id = 1')
      .get();
    return (row as Owner | undefined) ?? null;
  }

  /** @returns the new epoch; everything that an older epoch does from now on is refused. */
  acquire(holder: string, nowMs: number): number {
    return transaction(this.#db, () => {
      const epoch = (this.read()?.epoch ?? 0) + 1;
      this.#db
        .prepare('INSERT OR REPLACE INTO owner VALUES (1, ?, ?, ?)')
        .run(epoch, holder, nowMs);
      return epoch;
    });
  }

  /** @throws MaintenanceError ERR_TARGET_BUSY when another agent took the pool over. */
  assertCurrent(epoch: number): void {
    const owner = this.read();
    if (owner?.epoch !== epoch) {
      throw new MaintenanceError(
        'ERR_TARGET_BUSY',
        `another agent took this pool over: ${owner?.holder}`,
        { nextStep: 'Nothing was changed. Stop one of the two agents.' },
      );
    }
  }
}
