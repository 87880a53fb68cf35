/** A mounted ext4, XFS or Btrfs as a pool: the front of this folder. */

import type { RegisteredFileSystem } from '../../store/registry.js';
import type { MaintainedPool } from '../maintained-pool.js';
import { FsPoolContext, type OpenFsPoolOptions } from './context.js';

export class FsPool implements MaintainedPool {
  readonly kind = 'file-system';
  /** For the modules of this project. */
  readonly context: FsPoolContext;

  private constructor(context: FsPoolContext) {
    this.context = context;
  }

  /** @throws MaintenanceError as `FsPoolContext`. */
  static open(
    stateDirectory: string,
    registered: RegisteredFileSystem,
    options: OpenFsPoolOptions = {},
  ): FsPool {
    return new FsPool(new FsPoolContext(stateDirectory, registered, options));
  }

  get id(): string {
    return this.context.poolId;
  }

  get path(): string {
    return this.context.path;
  }

  close(): Promise<void> {
    return this.context.close();
  }
}
