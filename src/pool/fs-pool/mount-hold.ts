/**
 * Keeps two agents from working on one mounted file system at the same time, also where each sees
 * no more of the other than the mount: the lock of its root directory, for one step of work.
 *
 * Between the steps it is let go, since it keeps the file system from being unmounted. Steps of this
 * process share it, also those of two pools on mounts of one directory: they keep clear of each other
 * by themselves.
 */

import { statSync } from 'node:fs';
import { MaintenanceError } from '../../domain/errors.js';
import { type FileLock, tryLockDirectory } from '../../kernel/file-lock.js';

interface Held {
  readonly lock: FileLock;
  stepCount: number;
}

/** By device and inode of the directory. */
const heldHere = new Map<string, Held>();

/** @throws MaintenanceError ERR_TARGET_BUSY while another agent is at work on it. */
export async function whileHeld<T>(mountPath: string, step: () => Promise<T>): Promise<T> {
  const { dev, ino } = statSync(mountPath);
  const key = `${dev}:${ino}`;
  const held = heldHere.get(key) ?? takeHold(mountPath);
  heldHere.set(key, held);
  held.stepCount += 1;
  try {
    return await step();
  } finally {
    held.stepCount -= 1;
    if (held.stepCount === 0) {
      heldHere.delete(key);
      held.lock.release();
    }
  }
}

function takeHold(path: string): Held {
  const lock = tryLockDirectory(path);
  if (lock) return { lock, stepCount: 0 };
  throw new MaintenanceError('ERR_TARGET_BUSY', `another agent is at work on ${path}`, {
    nextStep: `It is tried again by itself. \`lslocks\` names the process that holds ${path}; stop one of the two agents.`,
  });
}
