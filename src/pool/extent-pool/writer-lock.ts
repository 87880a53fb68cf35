/**
 * Tells living writers of a pool from dead ones.
 *
 * Every process that reserves space holds a lock on a file of its own, which the kernel releases
 * however the process ends. A reservation whose writer holds no lock is an orphan.
 */

import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { InvariantError } from '../../domain/errors.js';
import { type FileLock, tryLockFile } from '../../kernel/file-lock.js';

const DIRECTORY = 'writers';

export class WriterLock {
  readonly writerId = randomUUID();
  readonly #path: string;
  readonly #lock: FileLock;
  #ownerCount = 0;

  constructor(poolPath: string) {
    const directory = join(poolPath, DIRECTORY);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#path = join(directory, this.writerId);
    const lock = tryLockFile(this.#path);
    if (!lock) throw new InvariantError(`somebody else locked ${this.#path}`);
    this.#lock = lock;
  }

  /** A name for one group of reservations of this writer. */
  newOwner(): string {
    this.#ownerCount += 1;
    return `${this.writerId}/${this.#ownerCount}`;
  }

  release(): void {
    rmSync(this.#path, { force: true });
    this.#lock.release();
  }
}

/** @returns the owners among `owners` whose writer is dead; their lock files are gone then. */
export function deadOwners(poolPath: string, owners: readonly string[]): string[] {
  // A catalogue that was restored from a backup comes without it.
  mkdirSync(join(poolPath, DIRECTORY), { recursive: true, mode: 0o700 });
  const dead = new Map<string, boolean>();
  return owners.filter((owner) => {
    const writerId = owner.split('/')[0] ?? '';
    let isDead = dead.get(writerId);
    if (isDead === undefined) {
      isDead = writerIsDead(join(poolPath, DIRECTORY, writerId));
      dead.set(writerId, isDead);
    }
    return isDead;
  });
}

function writerIsDead(path: string): boolean {
  const lock = tryLockFile(path);
  if (!lock) return false;
  // Gone already when another process found it dead at the same moment.
  rmSync(path, { force: true });
  lock.release();
  return true;
}
