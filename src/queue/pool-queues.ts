/** The four queues of one pool, with BullMQ's units and options kept in this file. */

import { type ConnectionOptions, FlowProducer, type Job, type JobState, Queue } from 'bullmq';
import { DEFRAG_PASS_EVERY_MS } from '../domain/defrag-plan.js';
import { MaintenanceError } from '../domain/errors.js';
import type { ReclamationStep } from '../domain/reclamation.js';
import { isOpen, type Run } from '../domain/runs.js';
import { JOB_KINDS, JOB_OPTIONS, type JobKind, PRIORITY, queuePrefix } from './names.js';
import type { RunBatchPayload } from './payloads.js';
import { addReclamationFlow, phaseJobId, phaseQueue, stepsLeft } from './reclamation-flow.js';

const POLICY_TICK_EVERY_MS = 60_000;

export class PoolQueues {
  readonly poolId: string;
  readonly #queues: ReadonlyMap<JobKind, Queue>;
  readonly #connection: ConnectionOptions;
  #flows: FlowProducer | null = null;
  #rateIntervalMs: number | null = null;

  constructor(poolId: string, connection: ConnectionOptions) {
    this.poolId = poolId;
    this.#connection = connection;
    const options = {
      connection,
      prefix: queuePrefix(poolId),
      defaultJobOptions: JOB_OPTIONS,
      skipVersionCheck: true,
    };
    this.#queues = new Map(JOB_KINDS.map((kind) => [kind, new Queue(kind, options)]));
    // Each command reports its own failure; the event would only end the process.
    for (const queue of this.#queues.values()) queue.on('error', () => {});
  }

  queue(kind: JobKind): Queue {
    return this.#queues.get(kind) as Queue;
  }

  all(): Queue[] {
    return [...this.#queues.values()];
  }

  /**
   * Adds the next batch of a run. Twice is once: the id names run, batch and owner.
   *
   * A job of that id that is over, while the store still wants the batch, did nothing: the run was
   * paused when its turn came, or its failure could not be recorded. BullMQ would take the new one
   * for a repetition of it, and the run would wait for ever.
   *
   * @returns the job's id, or null for a run that is not running.
   * @throws MaintenanceError ERR_QUEUE; the agent adds the batch itself once Redis is back.
   */
  async addBatch(run: Run, epoch: number): Promise<string | null> {
    if (!isOpen(run.state) || run.state === 'paused') return null;
    const kind = queueOf(run);
    const { runId, batchIndex } = run;
    const data: RunBatchPayload = {
      v: 1,
      poolId: this.poolId,
      kind: 'batch',
      runId,
      batchIndex,
      epoch,
    };
    const jobId = batchJobId(run, epoch);
    const priority = isUrgent(run) ? PRIORITY.manual : PRIORITY.scheduled;
    return await asking(async () => {
      const queue = this.queue(kind);
      const known = await queue.getJob(jobId);
      if (known?.finishedOn !== undefined) await known.remove();
      await queue.add(kind, data, { jobId, priority });
      return jobId;
    });
  }

  /**
   * Makes Redis show an open reclamation; nothing while it does.
   *
   * Whoever reaches Redis may remove or fail any of its jobs. The rest would wait for an analysis that
   * nobody makes, so what is left of the flow is made anew when the job that is due is not there.
   *
   * @param stepsNow asked again after Redis: a job that is over is missing only while its step is not.
   * @throws MaintenanceError ERR_QUEUE.
   */
  async addReclamation(
    reclamationId: number,
    stepsNow: () => readonly ReclamationStep[],
  ): Promise<void> {
    const find = (step: ReclamationStep | null) =>
      this.queue(phaseQueue(step)).getJob(phaseJobId(reclamationId, step?.index ?? null));
    await asking(async () => {
      const [due = null] = stepsLeft(stepsNow());
      const known = await Promise.all([null, ...(due ? [due] : [])].map(find));
      if (known.every((job) => job && job.finishedOn === undefined)) return;
      const left = stepsLeft(stepsNow());
      if ((left[0] ?? null)?.index !== due?.index) return;
      // From its end, and each takes those with it that it waits for.
      for (const step of [null, ...left.toReversed()]) {
        // One that is in work ends first: the next look comes in a second.
        if (!(await isGone(await find(step)))) return;
      }
      this.#flows ??= this.#makeFlows();
      await addReclamationFlow(this.#flows, this.poolId, reclamationId, left);
    });
  }

  #makeFlows(): FlowProducer {
    const options = { connection: this.#connection, prefix: queuePrefix(this.poolId) };
    const flows = new FlowProducer(options);
    flows.on('error', () => {});
    return flows;
  }

  async addAnalyze(): Promise<string> {
    const data = { v: 1, poolId: this.poolId };
    const options = { priority: PRIORITY.manual, deduplication: { id: `analyze-${this.poolId}` } };
    const job = await asking(() => this.queue('analyze').add('analyze', data, options));
    return job.id ?? '';
  }

  /** The defragmentation pass and the policy tick, each once a minute; the same call twice is one. */
  async schedule(): Promise<void> {
    const { poolId } = this;
    await this.queue('defrag-batch').upsertJobScheduler(
      'defrag-pass',
      { every: DEFRAG_PASS_EVERY_MS },
      {
        name: 'defrag-batch',
        data: { v: 1, poolId, kind: 'pass' },
        opts: { priority: PRIORITY.scheduled },
      },
    );
    await this.queue('policy-tick').upsertJobScheduler(
      'policy-tick',
      { every: POLICY_TICK_EVERY_MS },
      { name: 'policy-tick', data: { v: 1, poolId } },
    );
  }

  /** Lets at most one defragmentation batch begin in this time, over all agents. */
  async setBatchInterval(intervalMs: number): Promise<void> {
    if (this.#rateIntervalMs === intervalMs) return;
    await this.queue('defrag-batch').setGlobalRateLimit(1, intervalMs);
    this.#rateIntervalMs = intervalMs;
  }

  /** After Redis lost its data: what was set there must be set again. */
  forgetRate(): void {
    this.#rateIntervalMs = null;
  }

  async jobs(states: readonly JobState[], limit: number): Promise<Job[]> {
    const lists = await asking(() =>
      Promise.all(this.all().map((queue) => queue.getJobs([...states], 0, limit - 1))),
    );
    return lists.flat().filter((job) => job !== undefined);
  }

  /** Those that somebody paused; this program pauses none. @throws MaintenanceError ERR_QUEUE. */
  async paused(): Promise<JobKind[]> {
    const flags = await asking(() => Promise.all(this.all().map((queue) => queue.isPaused())));
    return JOB_KINDS.filter((_, index) => flags[index]);
  }

  /** @returns null when no queue of the pool has this job. */
  async job(jobId: string): Promise<Job | null> {
    for (const queue of this.all()) {
      const job = await asking(() => queue.getJob(jobId));
      if (job) return job;
    }
    return null;
  }

  async close(): Promise<void> {
    await Promise.all(
      [...this.all(), ...(this.#flows ? [this.#flows] : [])].map((one) => one.close()),
    );
  }
}

/** @returns false while a worker, or one of a job that it waits for, has it in its hands. */
async function isGone(job: Job | undefined): Promise<boolean> {
  try {
    await job?.remove();
    return true;
  } catch (cause) {
    if (String(cause).includes('locked')) return false;
    throw cause;
  }
}

/** Names run, batch and owner. */
export function batchJobId({ runId, batchIndex }: Run, epoch: number): string {
  return `run-${runId}-${batchIndex}-${epoch}`;
}

function queueOf({ kind }: Run): JobKind {
  if (kind === 'trim') return 'trim-batch';
  return kind === 'scrub' ? 'analyze' : 'defrag-batch';
}

/** Somebody waits for it, or data has fewer copies than it should. */
function isUrgent({ kind, trigger }: Run): boolean {
  return kind === 'repair' || trigger === 'manual' || trigger === 'evacuation';
}

/** What Redis or the connection to it says has no code of ours. @throws MaintenanceError ERR_QUEUE. */
async function asking<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MaintenanceError('ERR_QUEUE', `Redis did not do as asked: ${reason}`, {
      cause,
      nextStep: 'See `dynamicfs agent status`, then try again.',
    });
  }
}
