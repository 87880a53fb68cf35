/** The one place of the agent that knows of the kinds of pools. */

import { ExtentPoolWork } from '../processors/extent-pool-work.js';
import type { PoolWork } from '../processors/pool-work.js';
import type { RegisteredPool } from '../store/registry.js';

/** The file whose lock an agent holds while a pool is its own. */
export function agentLockPath({ kind, path }: RegisteredPool): string {
  switch (kind) {
    case 'extent':
      return ExtentPoolWork.lockPath(path);
  }
}

/** @throws MaintenanceError when the pool cannot be opened. */
export function openWork({ kind, path }: RegisteredPool): PoolWork {
  switch (kind) {
    case 'extent':
      return new ExtentPoolWork(path);
  }
}
