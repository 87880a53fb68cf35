/**
 * One pool in the hands of the agent.
 *
 *   standby → owned → closed
 *   standby: another agent holds the pool's lock; asked again now and then
 *   owned:   lock and a new epoch are ours; workers take jobs, the reconciler keeps runs going
 */

import { hostname } from 'node:os';
import { DelayedError, type Job, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { batchIntervalMs } from '../domain/defrag-plan.js';
import { asMaintenanceError, MaintenanceError } from '../domain/errors.js';
import { AGENT_ACTOR } from '../domain/ledger.js';
import type { DiskFigures, FragmentationGauges } from '../domain/pool-figures.js';
import { type FileLock, tryLockFile } from '../kernel/file-lock.js';
import type { Log } from '../observability/log.js';
import type { MaintainedPool } from '../pool/maintained-pool.js';
import { expirePauses } from '../processors/pauses.js';
import type { PoolWork } from '../processors/pool-work.js';
import { drain } from '../processors/run-batch.js';
import { JOB_KINDS, type JobKind, queuePrefix } from '../queue/names.js';
import { batchJobId, PoolQueues } from '../queue/pool-queues.js';
import { workerOptions } from '../queue/worker-options.js';
import { storeError } from '../store/database.js';
import type { RegisteredPool } from '../store/registry.js';
import { dispatchJob } from './dispatch-job.js';
import { jobError, recordFailure, wireOf } from './job-failure.js';
import { agentLockPath, openWork } from './open-work.js';
import { DRAIN_MS_MAX, finished, within } from './within.js';

/** What closing waits for Redis. */
const REDIS_GRACE_MS = 3_000;
const LET_GO = 'the agent lets this pool go';

export class AgentPool {
  readonly registered: RegisteredPool;
  readonly work: PoolWork;
  readonly queues: PoolQueues;
  readonly #lock: FileLock;
  readonly #log: Log;
  readonly #workers: Worker[] = [];
  readonly #underWay = new Set<Promise<unknown>>();
  /** Ids of the jobs that our workers are at. */
  readonly #jobsAtWork = new Set<string>();
  #reconciling: Promise<void> = Promise.resolve();
  #prepared: Promise<void> | null = null;
  #closing = false;
  #left: readonly string[] = [];
  #closed: Promise<void> | null = null;

  private constructor(
    registered: RegisteredPool,
    stateDirectory: string,
    lock: FileLock,
    redis: Redis,
    log: Log,
  ) {
    this.registered = registered;
    this.#lock = lock;
    this.#log = log;
    this.work = openWork(registered, stateDirectory);
    const { context } = this.work.pool;
    try {
      if (context.poolId !== registered.poolId) throw replaced(registered);
      context.store.ledger.actor = AGENT_ACTOR;
      context.ownerEpoch = context.store.owner.acquire(`${hostname()}:${process.pid}`, Date.now());
    } catch (cause) {
      this.work.closeUnused();
      throw cause;
    }
    this.queues = new PoolQueues(registered.poolId, redis);
  }

  /**
   * Takes a pool over, if no other agent has it.
   *
   * @returns null while another agent works on it.
   * @throws MaintenanceError when the pool cannot be opened.
   */
  static take(
    registered: RegisteredPool,
    stateDirectory: string,
    redis: Redis,
    log: Log,
  ): AgentPool | null {
    const lock = tryLockFile(agentLockPath(registered, stateDirectory));
    if (!lock) return null;
    try {
      return new AgentPool(registered, stateDirectory, lock, redis, log);
    } catch (cause) {
      lock.release();
      throw cause;
    }
  }

  startWorkers(redis: Redis): void {
    const settled = this.#prepare().catch((cause) =>
      this.#log.warn({ error: String(cause) }, 'what was left half done is not settled yet'),
    );
    this.#underWay.add(settled);
    void settled.finally(() => this.#underWay.delete(settled));
    for (const kind of JOB_KINDS) {
      const worker = new Worker(
        kind,
        (job: Job, token?: string) => this.#process(kind, job, token),
        {
          ...workerOptions(redis),
          prefix: queuePrefix(this.registered.poolId),
        },
      );
      worker.on('error', (error) => {
        // While Redis is away every worker says so again and again; the agent said it once.
        if (redis.status === 'ready') this.#log.warn({ kind, error: error.message }, 'worker');
      });
      worker.on('failed', (job, error) => {
        // What was turned away has not failed: the next agent begins it anew.
        if (wireOf(error)?.message === LET_GO) return;
        const { id, data } = job ?? {};
        this.#log.error({ kind, jobId: id, data, error: error.message }, 'job failed');
        // Without an end it is tried again.
        if (job?.finishedOn !== undefined) this.#jobFailed(kind, job, error);
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
    const { store, ownerEpoch } = this.pool.context;
    return store.owner.read()?.epoch === ownerEpoch;
  }

  /** False once the pool was moved, deleted, replaced or unmounted: what we hold open is not it. */
  isThere(): boolean {
    return this.work.isThere();
  }

  get pool(): MaintainedPool {
    return this.work.pool;
  }

  disks(): DiskFigures[] {
    return this.work.disks();
  }

  fragmentation(): FragmentationGauges | null {
    return this.work.fragmentation();
  }

  /** What still waits for a disk after `close`: the pool stays locked until this process is gone. */
  get left(): readonly string[] {
    return this.#left;
  }

  /**
   * Waits for the extents under way, then lets the pool go. A second call waits for the first. What
   * waits for a disk that does not answer is left as it is: see `left`.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#closing = true;
    drain(this.pool.context);
    const endAtMs = performance.now() + DRAIN_MS_MAX;
    const look = () => this.work.probeDisks();
    const workersClosed = Promise.allSettled(this.#workers.map((worker) => worker.close()));
    await finished(this.#underWay, endAtMs, look);
    await within(REDIS_GRACE_MS, workersClosed);
    await within(REDIS_GRACE_MS, this.queues.close());
    if (!(await finished(this.#underWay, endAtMs, look))) {
      this.#left = [this.registered.path];
      return;
    }
    this.#left = this.work.stuckPaths();
    try {
      await this.work.close();
    } finally {
      // Nobody else may work on it while a thread may still come back and write.
      if (this.#left.length === 0) this.#lock.release();
    }
  }

  async #reconcile(): Promise<void> {
    if (this.#closing) return;
    const { store, ownerEpoch } = this.pool.context;
    this.work.forgetIdle();
    expirePauses(this.pool.context);
    this.work.beginUrgent();
    this.work.reclaimer.advance();
    const reclamation = store.reclamations.open();
    if (reclamation) {
      const { reclamationId } = reclamation;
      await this.queues.addReclamation(reclamationId, () =>
        store.reclamations.steps(reclamationId),
      );
    }
    const runs = store.runs.openRuns().filter((run) => run.state === 'running');
    // An evacuation and a defragmentation share the queue: turns are taken at the pace of the faster.
    const rewrites = runs.filter((run) => run.kind !== 'trim' && run.kind !== 'scrub');
    const intervals = rewrites.map((run) => batchIntervalMs(run.intensity));
    if (intervals.length > 0) await this.queues.setBatchInterval(Math.min(...intervals));
    for (const run of runs) {
      // Looked for when it ends, too: until then there is nothing to ask Redis for each second.
      if (this.#jobsAtWork.has(batchJobId(run, ownerEpoch ?? 0))) continue;
      await this.queues.addBatch(run, ownerEpoch ?? 0);
    }
  }

  async #process(kind: JobKind, job: Job, token = ''): Promise<unknown> {
    const work = this.#closing
      ? Promise.reject(new MaintenanceError('ERR_AGENT', LET_GO))
      : dispatchJob(this.work, kind, job, token, () => this.#prepare());
    this.#underWay.add(work);
    if (job.id !== undefined) this.#jobsAtWork.add(job.id);
    try {
      const result = await work.finally(() => this.#jobsAtWork.delete(job.id ?? ''));
      // The next batch at once, not at the next look: a run would wait for the clock between batches.
      if (kind !== 'policy-tick') await this.reconcile().catch(() => {});
      return result;
    } catch (cause) {
      if (cause instanceof DelayedError) throw cause;
      throw jobError(asMaintenanceError(storeError(cause, this.registered.path)));
    } finally {
      this.#underWay.delete(work);
    }
  }

  /** Settles what a dead agent left, once; a failure is tried again at the next turn. */
  #prepare(): Promise<void> {
    this.#prepared ??= this.#settle().catch((cause) => {
      this.#prepared = null;
      throw cause;
    });
    return this.#prepared;
  }

  async #settle(): Promise<void> {
    const settled = await this.work.prepare();
    if (settled) this.#log.info({ ...settled }, 'settled what was left half done');
  }

  /** What cannot be recorded now is queued again by `reconcile`. */
  #jobFailed(kind: JobKind, job: Job, error: Error): void {
    if (this.#closing) return;
    try {
      if (this.isOwner()) recordFailure(this.work, kind, job, error);
    } catch (cause) {
      this.#log.warn({ jobId: job.id, error: String(cause) }, 'the failure is not recorded');
    }
  }
}

function replaced({ path, poolId }: RegisteredPool): MaintenanceError {
  return new MaintenanceError('ERR_NOT_A_POOL', `${path} holds another pool than ${poolId}`, {
    nextStep: 'Run any command that changes the pool there, so that this node knows of it.',
  });
}
