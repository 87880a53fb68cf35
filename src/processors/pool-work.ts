/**
 * What the agent does to one pool. It wires queues to this and does not know which kind it has.
 *
 *   made → prepared → closed
 *   made:     opened for writing, with an epoch; nothing is done to the pool yet
 *   prepared: what a dead agent left half done is settled; batches may begin
 */

import type { DiskFigures, FragmentationGauges } from '../domain/pool-figures.js';
import type { MaintainedPool } from '../pool/maintained-pool.js';
import type { Payload, PhasePayload, RunBatchPayload } from '../queue/payloads.js';
import type { Reclaimer } from './reclamation.js';
import type { BatchReport } from './run-batch.js';

export type DefragReport = BatchReport | { readonly passRunId: number | null };

export type DefragPayload = Exclude<Payload<'defrag-batch'>, PhasePayload>;

export interface PoolWork {
  readonly pool: MaintainedPool;
  /**
   * Settles what a dead agent left half done: once, before the first batch.
   *
   * @returns what was done, for the log; null when there was nothing.
   * @throws MaintenanceError; then the agent tries again with the next job.
   */
  prepare(): Promise<object | null>;
  analyze(): Promise<unknown>;
  defrag(payload: DefragPayload): Promise<DefragReport>;
  trim(payload: RunBatchPayload): Promise<BatchReport>;
  scrub(payload: RunBatchPayload): Promise<BatchReport>;
  tick(): Promise<unknown>;
  readonly reclaimer: Reclaimer;
  /** Begins what cannot wait for the next tick: repairs. Asked every second. */
  beginUrgent(): void;
  /** Gives back what is held for runs that were stopped or paused between two batches. */
  forgetIdle(): void;
  /** False once what is held open is not what the pool's path leads to any more. */
  isThere(): boolean;
  disks(): DiskFigures[];
  /** The last analysis, for metrics. */
  fragmentation(): FragmentationGauges | null;
  /** Lets go of what waits for a disk that does not answer. */
  probeDisks(): void;
  /** Files that threads wait for in vain; they keep the process from ending by itself. */
  stuckPaths(): string[];
  close(): Promise<void>;
  /** All that `close` does for a pool on which no work was begun. */
  closeUnused(): void;
}
