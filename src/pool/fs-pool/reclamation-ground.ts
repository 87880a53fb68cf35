/** What a reclamation asks of a mounted file system. */

import { statfsSync } from 'node:fs';
import type { PoolStanding } from '../../domain/reclamation.js';
import type { ReclamationGround } from '../reclamation.js';
import type { FsPoolContext } from './context.js';

export class FsPoolGround implements ReclamationGround {
  readonly context: FsPoolContext;

  constructor(context: FsPoolContext) {
    this.context = context;
  }

  /** What is freed there is not known as such: only a trim's own look tells. */
  space(): Omit<PoolStanding, 'fragmentationRatio'> {
    const mount = this.context.findMount();
    if (!mount) return { capacityBytes: 0, usedBytes: 0, pendingBytes: 0 };
    const { blocks, bfree, bsize } = statfsSync(mount.path);
    return {
      capacityBytes: blocks * bsize,
      usedBytes: (blocks - bfree) * bsize,
      pendingBytes: 0,
    };
  }

  planDefrag(): null {
    return null;
  }

  planTrim(): { count: number; bytes: number } {
    return { count: 0, bytes: 0 };
  }
}
