/**
 * Keeps two agents from working on one mounted file system at the same time, also where each sees
 * no more of the other than the mount: the lock of its root directory, for one step of work.
 *
 * Between the steps it is let go, since it keeps the file system from being unmounted. Steps of this
 * process share it: they keep clear of each other by themselves.
 */

import { MaintenanceError } from '../../domain/errors.js';
import { type FileLock, tryLockDirectory } from '../../kernel/file-lock.js';

export class MountHold {
  readonly #mountPath: string;
  #lock: FileLock | null = null;
  #stepCount = 0;

  constructor(mountPath: string) {
    this.#mountPath = mountPath;
  }

  /** @throws MaintenanceError ERR_TARGET_BUSY while another agent is at work on it. */
  async during<T>(step: () => Promise<T>): Promise<T> {
    this.#lock ??= tryLockDirectory(this.#mountPath);
    if (!this.#lock) throw busy(this.#mountPath);
    this.#stepCount += 1;
    try {
      return await step();
    } finally {
      this.#stepCount -= 1;
      if (this.#stepCount === 0) {
        this.#lock.release();
        this.#lock = null;
      }
    }
  }
}

function busy(path: string): MaintenanceError {
  return new MaintenanceError('ERR_TARGET_BUSY', `another agent is at work on ${path}`, {
    nextStep: `It is tried again by itself. \`lslocks\` names the process that holds ${path}; stop one of the two agents.`,
  });
}
