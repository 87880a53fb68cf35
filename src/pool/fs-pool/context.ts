/**
 * An open file-system pool: its store in the state directory, its mount as it is now, and who writes.
 *
 * Nothing below the mount stays open between two steps of work, so that it can be unmounted.
 */

import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { MaintenanceError } from '../../domain/errors.js';
import { GROUPS_PER_THREAD_MAX } from '../../domain/move-tasks.js';
import { processActor } from '../../kernel/actor.js';
import { type FsPoolSettings, FsPoolStore } from '../../store/fs-pool-store.js';
import type { RegisteredFileSystem } from '../../store/registry.js';
import type { MaintenanceContext } from '../maintained-pool.js';
import { WorkerPool } from '../worker-pool.js';
import { type FsMount, mountAt } from './detect.js';
import { whileHeld } from './mount-hold.js';

export interface OpenFsPoolOptions {
  readonly mode?: 'read' | 'write';
  readonly threadCount?: number;
  /** Epoch milliseconds; tests bring their own. */
  readonly clock?: () => number;
}

/** As many as may wait for the disk at a time; they go when there is nothing to do. */
const THREAD_COUNT = availableParallelism() * GROUPS_PER_THREAD_MAX;

/** Where a pool's store and lock lie. */
export function fsPoolDirectory(stateDirectory: string, poolId: string): string {
  return join(stateDirectory, 'pools', poolId);
}

export class FsPoolContext implements MaintenanceContext {
  readonly path: string;
  readonly poolId: string;
  readonly fileSystemUuid: string;
  readonly mode: 'read' | 'write';
  readonly store: FsPoolStore;
  readonly clock: () => number;
  ownerEpoch: number | null = null;
  readonly #threadCount: number | undefined;
  #workers: WorkerPool | null = null;

  /** @throws MaintenanceError ERR_STORE, ERR_NEWER_VERSION, ERR_NOT_A_POOL when its store is gone. */
  constructor(
    stateDirectory: string,
    registered: RegisteredFileSystem,
    options: OpenFsPoolOptions = {},
  ) {
    this.path = registered.path;
    this.poolId = registered.poolId;
    this.fileSystemUuid = registered.fileSystemUuid;
    this.mode = options.mode ?? 'write';
    this.clock = options.clock ?? Date.now;
    this.#threadCount = options.threadCount;
    const file = storePath(stateDirectory, this.poolId);
    if (!existsSync(file)) throw storeGone(file, this.path);
    this.store = new FsPoolStore(file, {
      readonly: this.mode === 'read',
      actor: processActor(),
      clock: this.clock,
    });
  }

  settings(): FsPoolSettings {
    return this.store.settings.read();
  }

  get workers(): WorkerPool {
    this.#workers ??= new WorkerPool(this.#threadCount ?? THREAD_COUNT);
    return this.#workers;
  }

  /** @returns the mount as it is now; null while it is not mounted, or another file system is there. */
  findMount(): FsMount | null {
    const mount = mountAt(this.path);
    return mount?.uuid === this.fileSystemUuid && mount.path === this.path ? mount : null;
  }

  /** @throws MaintenanceError ERR_DISK_UNAVAILABLE while it is not mounted. */
  mount(): FsMount {
    const mount = this.findMount();
    if (mount) return mount;
    throw notMounted(this.path, this.fileSystemUuid);
  }

  /** For what changes the file system. @throws as `whileHeld` of mount-hold.ts. */
  whileHeld<T>(step: () => Promise<T>): Promise<T> {
    return whileHeld(this.path, step);
  }

  assertOwner(): void {
    if (this.ownerEpoch !== null) this.store.owner.assertCurrent(this.ownerEpoch);
  }

  async close(): Promise<void> {
    await this.#workers?.close();
    this.store.close();
  }
}

/** Makes the store of a new pool. Safe while: nobody knows its id yet. */
export function createFsPoolStore(stateDirectory: string, settings: FsPoolSettings): void {
  const directory = fsPoolDirectory(stateDirectory, settings.poolId);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  try {
    const store = new FsPoolStore(storePath(stateDirectory, settings.poolId), {
      create: true,
      actor: processActor(),
    });
    store.settings.write(settings);
    store.close();
  } catch (cause) {
    rmSync(directory, { recursive: true, force: true });
    throw cause;
  }
}

export function notMounted(path: string, uuid: string): MaintenanceError {
  return new MaintenanceError(
    'ERR_DISK_UNAVAILABLE',
    `file system ${uuid} is not mounted on ${path}`,
    { nextStep: 'Mount it there; its runs go on by themselves.' },
  );
}

function storePath(stateDirectory: string, poolId: string): string {
  return join(fsPoolDirectory(stateDirectory, poolId), 'pool.sqlite');
}

function storeGone(file: string, mountPath: string): MaintenanceError {
  return new MaintenanceError('ERR_NOT_A_POOL', `what was known of ${mountPath} is gone: ${file}`, {
    nextStep: `Register it anew: \`dynamicfs init --filesystem --pool ${mountPath}\`.`,
  });
}
