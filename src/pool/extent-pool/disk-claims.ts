/**
 * Shares the exclusive claim on a device among the processes of one pool, and with nobody else.
 *
 * The first process of a pool opens the device exclusively. Each one that holds it says so in a file
 * in `claims/`, which it locks; the next process finds it there and duplicates the descriptor, so that
 * the device stays claimed however they end. Whoever is of no process of this pool, or has another
 * catalogue, finds nothing there and is refused by the kernel.
 */

import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MaintenanceError } from '../../domain/errors.js';
import { deviceNumberOf, deviceUsers, sysfsNameOf } from '../../kernel/block-device.js';
import { DeviceClaim } from '../../kernel/device-claim.js';
import { type FileLock, tryLockFile } from '../../kernel/file-lock.js';

const DIRECTORY = 'claims';
const POLL_MS = 20;
/** For the moment between two calls of a process that is letting go. */
const WAIT_MS = 500;
/** A process of this pool that was killed still writes what it had in memory, and holds on so long. */
const WAIT_FOR_DEAD_MS = 15_000;
const WAIT_FOR_LOCK_MS = 10_000;
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** A claim that other processes of the pool can share. */
export interface SharedClaim {
  readonly claim: DeviceClaim;
  release(): void;
}

interface Holder {
  readonly pid: number;
  /** Process ids mean something else in another one. */
  readonly pidNamespace: string;
  readonly fd: number;
}

/**
 * Claims the device of a disk, or shares the claim of another process of this pool.
 *
 * @throws MaintenanceError ERR_DEVICE_HELD when somebody else has it, saying who as far as known;
 *   ERR_PERMISSION when the process that has it may not be asked.
 */
export function claimDisk(poolPath: string, diskUuid: string, devicePath: string): SharedClaim {
  const directory = join(poolPath, DIRECTORY);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const startedAtMs = performance.now();
  let waitMs = WAIT_MS;
  for (;;) {
    const { claim, foundDead } = takeOrShare(directory, diskUuid, devicePath);
    if (claim) return claim;
    if (foundDead) waitMs = WAIT_FOR_DEAD_MS;
    if (performance.now() - startedAtMs > waitMs) throw deviceHeld(devicePath);
    sleep();
  }
}

function takeOrShare(
  directory: string,
  diskUuid: string,
  devicePath: string,
): { claim: SharedClaim | null; foundDead: boolean } {
  using _ = waitForLock(join(directory, 'lock'));
  const taken = DeviceClaim.take(devicePath);
  if (taken) {
    for (const path of published(directory, diskUuid)) rmSync(path, { force: true });
    return { claim: publish(taken, directory, diskUuid), foundDead: false };
  }
  const { shared, foundDead } = shareWithHolder(directory, diskUuid, devicePath);
  return { claim: shared && publish(shared, directory, diskUuid), foundDead };
}

/** @returns an error that says who holds the device, as far as the kernel tells. */
function deviceHeld(devicePath: string): MaintenanceError {
  const name = sysfsNameOf(deviceNumberOf(devicePath));
  const users = name === null ? [] : deviceUsers(name);
  const what =
    users.length > 0
      ? users.join(', ')
      : 'held by another program, perhaps the agent of another pool';
  return new MaintenanceError('ERR_DEVICE_HELD', `${devicePath} is ${what}`, {
    nextStep:
      'Unmount it, or end the program that uses it (`fuser DEVICE` may name it); nothing was changed.',
    details: { device: devicePath, users },
  });
}

/** One process at a time looks who holds what; the kernel frees the lock of one that dies. */
function waitForLock(path: string): FileLock {
  const startedAtMs = performance.now();
  for (;;) {
    const lock = tryLockFile(path);
    if (lock) return lock;
    if (performance.now() - startedAtMs > WAIT_FOR_LOCK_MS) {
      throw new MaintenanceError('ERR_TARGET_BUSY', `${path} is held by another process`, {
        nextStep: 'Try again; if that does not help, look which process has the file open.',
      });
    }
    sleep();
  }
}

/** Published first, given up last: whoever finds the file locked finds the descriptor open. */
function publish(claim: DeviceClaim, directory: string, diskUuid: string): SharedClaim {
  const path = join(directory, `${diskUuid}.${randomUUID()}`);
  const lock = tryLockFile(path);
  const holder: Holder = { pid: process.pid, pidNamespace: pidNamespace(), fd: claim.file.fd };
  writeFileSync(path, JSON.stringify(holder));
  const release = (): void => {
    rmSync(path, { force: true });
    lock?.release();
    claim.release();
  };
  return { claim, release };
}

function shareWithHolder(
  directory: string,
  diskUuid: string,
  devicePath: string,
): { shared: DeviceClaim | null; foundDead: boolean } {
  let foundDead = false;
  for (const path of published(directory, diskUuid)) {
    if (!isLocked(path)) {
      rmSync(path, { force: true });
      foundDead = true;
      continue;
    }
    const holder = readHolder(path);
    if (!holder || holder.pidNamespace !== pidNamespace()) continue;
    const number = deviceNumberOf(devicePath);
    const shared = DeviceClaim.share(holder.pid, holder.fd, devicePath, number);
    // Still locked: it was the claim, and no other descriptor that took its number since.
    if (shared && isLocked(path)) return { shared, foundDead };
    shared?.release();
  }
  return { shared: null, foundDead };
}

function published(directory: string, diskUuid: string): string[] {
  return readdirSync(directory)
    .filter((name) => name.startsWith(`${diskUuid}.`))
    .map((name) => join(directory, name));
}

function isLocked(path: string): boolean {
  const lock = tryLockFile(path);
  lock?.release();
  return lock === null;
}

/** @returns null for one that was not written whole: its process is about to give it up. */
function readHolder(path: string): Holder | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Holder;
  } catch {
    return null;
  }
}

function pidNamespace(): string {
  return readlinkSync('/proc/self/ns/pid');
}

function sleep(): void {
  Atomics.wait(sleeper, 0, 0, POLL_MS);
}
