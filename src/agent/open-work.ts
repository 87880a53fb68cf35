/** The one place of the agent that knows of the kinds of pools. */

import { ExtentPoolWork } from '../processors/extent-pool-work.js';
import { FsPoolWork } from '../processors/fs-pool-work.js';
import type { PoolWork } from '../processors/pool-work.js';
import type { RegisteredPool } from '../store/registry.js';

/** The file whose lock an agent holds while a pool is its own. */
export function agentLockPath(pool: RegisteredPool, stateDirectory: string): string {
  switch (pool.kind) {
    case 'extent':
      return ExtentPoolWork.lockPath(pool.path);
    case 'file-system':
      return FsPoolWork.lockPath(stateDirectory, pool.poolId);
  }
}

/** @throws MaintenanceError when the pool cannot be opened, or is not mounted. */
export function openWork(pool: RegisteredPool, stateDirectory: string): PoolWork {
  switch (pool.kind) {
    case 'extent':
      return new ExtentPoolWork(pool.path);
    case 'file-system':
      return new FsPoolWork(stateDirectory, pool);
  }
}
