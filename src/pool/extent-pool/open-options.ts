/** How a pool is opened. */

import type { WorkerPool } from '../worker-pool.js';
import type { OpenMode } from './catalogue.js';

export interface OpenPoolOptions {
  readonly mode?: OpenMode;
  readonly threadCount?: number;
  /** Threads that are being started already; they end with the pool. */
  readonly workers?: WorkerPool;
  /** Epoch milliseconds; tests bring their own. */
  readonly clock?: () => number;
  /** How long a call of a disk may take; without it, as long as the disk answers others. */
  readonly diskTimeoutMs?: number;
}
