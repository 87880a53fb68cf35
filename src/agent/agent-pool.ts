/**
 * One pool in the hands of the agent.
 *
 *   standby → owned → closed
 *   standby: another agent holds the pool's lock; asked again now and then
 *   owned:   lock and a new epoch are ours; workers take jobs, the reconciler keeps runs going
 */

import { hostname } from 'node:os';
import { join } from 'node:path';
import { type Job, UnrecoverableError, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { batchIntervalMs } from '../domain/defrag-plan.js';
import { asMaintenanceError } from '../domain/errors.js';
import { type FileLock, tryLockFile } from '../kernel/file-lock.js';
import type { Log } from '../observability/log.js';
import { ExtentPool } from '../pool/extent-pool/extent-pool.js';
import { processAnalyze } from '../processors/analyze.js';
import { DefragBatches } from '../processors/defrag-batch.js';
import { processPolicyTick } from '../processors/policy-tick.js';
import { processTrimBatch } from '../processors/trim-batch.js';
import { JOB_KINDS, type JobKind, queuePrefix } from '../queue/names.js';
import { parsePayload } from '../queue/payloads.js';
import { PoolQueues } from '../queue/pool-queues.js';
import { workerOptions } from '../queue/worker-options.js';
import type { RegisteredPool } from '../store/registry.js';

export class AgentPool {
  readonly registered: RegisteredPool;
  readonly pool: ExtentPool;
  readonly queues: PoolQueues;
  readonly #lock: FileLock;
  readonly #log: Log;
  readonly #workers: Worker[] = [];
  readonly #defrag: DefragBatches;
  #reconciling: Promise<void> = Promise.resolve();
  #closing = false;

  private constructor(registered: RegisteredPool, lock: FileLock, redis: Redis, log: Log) {
    this.registered = registered;
    this.#lock = lock;
    this.#log = log;
    this.pool = ExtentPool.open(registered.path);
    const { context } = this.pool;
    context.ownerEpoch = context.store.owner.acquire(`${hostname()}:${process.pid}`, Date.now());
    // Whoever was discarding is dead: this lock is ours.
    for (const disk of context.store.disks.all()) context.store.discards.revert(disk.diskId);
    this.queues = new PoolQueues(registered.poolId, redis);
    this.#defrag = new DefragBatches(context);
  }

  /**
   * Takes a pool over, if no other agent has it.
   *
   * @returns null while another agent works on it.
   * @throws MaintenanceError when the pool cannot be opened.
   */
  static take(registered: RegisteredPool, redis: Redis, log: Log): AgentPool | null {
    const lock = tryLockFile(join(registered.path, 'agent.lock'));
    if (!lock) return null;
    try {
      return new AgentPool(registered, lock, redis, log);
    } catch (cause) {
      lock.release();
      throw cause;
    }
  }

  startWorkers(redis: Redis): void {
    for (const kind of JOB_KINDS) {
      const worker = new Worker(kind, (job: Job) => this.#process(kind, job), {
        ...workerOptions(redis),
        prefix: queuePrefix(this.registered.poolId),
      });
      worker.on('error', (error) => this.#log.warn({ kind, error: error.message }, 'worker'));
      worker.on('failed', (job, error) => {
        const { id, data } = job ?? {};
        this.#log.error({ kind, jobId: id, data, error: error.message }, 'job failed');
        if (job && job.attemptsMade >= (job.opts.attempts ?? 1)) this.#runFailed(job.data, error);
      });
      this.#workers.push(worker);
    }
  }

  /** Makes Redis carry what SQLite wants: schedules, rates and the next batch of every open run. */
  async reconcile(): Promise<void> {
    // One after the other: two at once would add to Redis what the first just changed in SQLite.
    const turn = this.#reconciling.catch(() => {}).then(() => this.#reconcile());
    this.#reconciling = turn;
    await turn;
  }

  /** Sets up again what Redis holds for the pool; harmless when it is all there. */
  async schedule(): Promise<void> {
    this.queues.forgetRate();
    await this.queues.schedule();
  }

  /** False once another agent has taken the pool over, for example after a lock file was deleted. */
  isOwner(): boolean {
    return this.pool.context.store.owner.read()?.epoch === this.pool.context.ownerEpoch;
  }

  /** Waits for the extents under way, then lets the pool go. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#reconciling.catch(() => {});
    await Promise.all(this.#workers.map((worker) => worker.close()));
    await this.queues.close();
    await this.pool.close();
    this.#lock.release();
  }

  async #reconcile(): Promise<void> {
    if (this.#closing) return;
    const { store, ownerEpoch } = this.pool.context;
    for (const run of store.runs.openRuns()) {
      if (run.state !== 'running') continue;
      if (run.kind !== 'trim') await this.queues.setBatchInterval(batchIntervalMs(run.intensity));
      await this.queues.addBatch(run, ownerEpoch ?? 0);
    }
  }

  /** BullMQ keeps only the message of an error, so the message is the error in full. */
  async #process(kind: JobKind, job: Job): Promise<unknown> {
    try {
      const result = await this.#dispatch(kind, job);
      // The next batch at once, not at the next look: a run would wait for the clock between batches.
      if (kind === 'defrag-batch' || kind === 'trim-batch') await this.reconcile();
      return result;
    } catch (cause) {
      const error = asMaintenanceError(cause);
      const message = JSON.stringify(error.toWire());
      throw error.retryable ? new Error(message, { cause }) : new UnrecoverableError(message);
    }
  }

  async #dispatch(kind: JobKind, job: Job): Promise<unknown> {
    const { poolId } = this.registered;
    const { context } = this.pool;
    switch (kind) {
      case 'analyze':
        parsePayload(kind, poolId, job.data);
        return processAnalyze(context);
      case 'defrag-batch':
        return await this.#defrag.process(parsePayload(kind, poolId, job.data));
      case 'trim-batch':
        return await processTrimBatch(context, parsePayload(kind, poolId, job.data));
      case 'policy-tick':
        parsePayload(kind, poolId, job.data);
        return processPolicyTick(context);
    }
  }

  /** A batch that failed for good ends its run, with the reason; else it would wait for ever. */
  #runFailed(data: unknown, error: Error): void {
    const { runId } = (data ?? {}) as { runId?: unknown };
    if (typeof runId !== 'number' || this.#closing || !this.isOwner()) return;
    const { store, clock } = this.pool.context;
    try {
      store.runs.setState(runId, 'failed', clock(), JSON.parse(error.message));
    } catch (cause) {
      this.#log.error({ runId, error: String(cause) }, 'could not record that the run failed');
    }
  }
}
