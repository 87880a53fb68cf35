/**
 * One agent per mounted file system on this machine, whatever its state directory: a lock named by
 * the UUID of the file system, held for as long as the agent has the pool.
 *
 * It lies in /run, so that nothing is written to the file system, and that unmounting it stays
 * possible. Who may not write there, or has a /run of its own, as in a container, goes without it;
 * then the lock of the mount itself keeps two agents from working at the same time (`whileHeld`).
 */

import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { MaintenanceError } from '../domain/errors.js';
import { type FileLock, tryLockFile } from './file-lock.js';

const DIRECTORY = '/run/dynamicfs';

interface Holder {
  readonly stateDirectory: string;
  readonly pid: number;
}

/** What this process has claimed, and for how many pools: a mount and a bind mount of it are two. */
const claimedHere = new Map<string, { readonly lock: FileLock; poolCount: number }>();

/**
 * @returns gives it up; to be called once.
 * @throws MaintenanceError ERR_TARGET_BUSY while the agent of another state directory has it.
 */
export function claimFileSystem(uuid: string, stateDirectory: string): () => void {
  const known = claimedHere.get(uuid);
  const lock = known?.lock ?? lockFileSystem(uuid, stateDirectory);
  if (!lock) return () => {};
  const claim = known ?? { lock, poolCount: 0 };
  claim.poolCount += 1;
  claimedHere.set(uuid, claim);
  return () => {
    claim.poolCount -= 1;
    if (claim.poolCount > 0) return;
    claimedHere.delete(uuid);
    // Before it is let go: afterwards it may be the next one's.
    rmSync(lock.path, { force: true });
    lock.release();
  };
}

/** @returns null where there is no place for it. */
function lockFileSystem(uuid: string, stateDirectory: string): FileLock | null {
  const path = pathOf(uuid);
  try {
    mkdirSync(DIRECTORY, { recursive: true, mode: 0o755 });
  } catch {
    return null;
  }
  for (;;) {
    const lock = lockOrNull(path);
    if (lock === 'no-place') return null;
    if (lock === null) throw busy(uuid, readHolder(path));
    // Whoever had it before may have deleted it since it was opened: then it locks nothing.
    if (!isSameFile(path, lock)) {
      lock.release();
      continue;
    }
    const holder: Holder = { stateDirectory: resolve(stateDirectory), pid: process.pid };
    writeFileSync(path, JSON.stringify(holder));
    return lock;
  }
}

/**
 * For commands, before they queue work that only their own agent would do.
 *
 * @throws MaintenanceError ERR_TARGET_BUSY while the agent of another state directory has it.
 */
export function assertUnclaimed(uuid: string, stateDirectory: string): void {
  const holder = readHolder(pathOf(uuid));
  if (!holder || holder.stateDirectory === resolve(stateDirectory)) return;
  // One that was killed leaves the file behind.
  const lock = lockOrNull(pathOf(uuid));
  if (lock === null) throw busy(uuid, holder);
  if (lock !== 'no-place') lock.release();
}

function lockOrNull(path: string): FileLock | null | 'no-place' {
  try {
    return tryLockFile(path);
  } catch {
    return 'no-place';
  }
}

function isSameFile(path: string, lock: FileLock): boolean {
  try {
    return statSync(path).ino === lock.inode();
  } catch {
    return false;
  }
}

function readHolder(path: string): Holder | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return null;
  }
}

function busy(uuid: string, holder: Holder | null): MaintenanceError {
  const who = holder
    ? `the agent of ${holder.stateDirectory} (process ${holder.pid})`
    : 'another agent';
  const nextStep = holder
    ? `Give the command that state directory (DYNAMICFS_STATE_DIR=${holder.stateDirectory}), or end that agent with it and \`dynamicfs agent stop\`.`
    : 'See `lslocks` for the process that holds it.';
  return new MaintenanceError('ERR_TARGET_BUSY', `${who} works on file system ${uuid}`, {
    nextStep,
  });
}

function pathOf(uuid: string): string {
  return join(DIRECTORY, `${uuid}.lock`);
}
