/**
 * The threads that read, hash, write and discard. The main thread never does: it renews locks and
 * writes SQLite, and a blocked main thread loses its jobs.
 *
 * A task is never aborted from outside: Piscina would kill the thread in the middle of a write. Runs
 * stop between tasks instead. A task on a disk that hangs can be given up: whoever waits for it is told,
 * its thread is left behind until the disk answers, and other tasks get new threads. What it holds stays
 * held until then (`whenEnded`), since it may still read and write, late.
 */

import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Piscina } from 'piscina';
import { asMaintenanceError, MaintenanceError } from '../domain/errors.js';
import type { FreeSpaceReport, FreeSpaceTask, ScanReport, ScanTask } from '../domain/file-scan.js';
import type {
  FinishMovesTask,
  FinishOutcome,
  NameFilesTask,
  PrepareMovesTask,
  PrepareOutcome,
  SettleIntentsReply,
  SettleIntentsTask,
} from '../domain/move-tasks.js';
import type {
  DiscardOutcome,
  DiscardTask,
  ReadOutcome,
  ReadTask,
  RewriteOutcome,
  RewriteTask,
  StoredExtent,
  StoreTask,
  TaskReply,
  VerifyOutcome,
  VerifyTask,
} from '../domain/tasks.js';
import type { TimeReadsReply, TimeReadsTask } from '../domain/timed-reads.js';
import type {
  ReadTrimWindowsTask,
  TrimWindowList,
  TrimWindowOutcome,
  TrimWindowTask,
} from '../domain/trim-tasks.js';
import { packageRoot } from '../kernel/package-root.js';

/** Each kind of task, by the file in `workers/` that runs it. */
interface Tasks {
  'store-extents': { task: StoreTask; result: StoredExtent[] };
  'read-extents': { task: ReadTask; result: ReadOutcome[] };
  'rewrite-extents': { task: RewriteTask; result: RewriteOutcome[] };
  'verify-replicas': { task: VerifyTask; result: VerifyOutcome[] };
  'discard-ranges': { task: DiscardTask; result: DiscardOutcome[] };
  'scan-file-system': { task: ScanTask; result: ScanReport };
  'scan-free-space': { task: FreeSpaceTask; result: FreeSpaceReport };
  'prepare-moves': { task: PrepareMovesTask; result: readonly PrepareOutcome[] };
  'finish-moves': { task: FinishMovesTask; result: readonly FinishOutcome[] };
  /** Paths, null where none was found. */
  'name-files': { task: NameFilesTask; result: readonly (string | null)[] };
  'settle-intents': { task: SettleIntentsTask; result: SettleIntentsReply };
  'read-trim-windows': { task: ReadTrimWindowsTask; result: TrimWindowList };
  'time-reads': { task: TimeReadsTask; result: TimeReadsReply };
  'trim-window': { task: TrimWindowTask; result: TrimWindowOutcome };
}

/** Threads hold buffers of an extent each: they go after this long without work. */
const IDLE_THREAD_MS = 5_000;

/** Threads that started together. */
interface Threads {
  readonly piscina: Promise<Piscina>;
  freeCount: number;
  underWayCount: number;
}

interface UnderWay {
  /** Null for what no thread of ours does. */
  readonly threads: Threads | null;
  /** Files that it reads and writes. */
  readonly paths: ReadonlySet<string>;
  isGivenUp: boolean;
  readonly tell: (path: string, error: MaintenanceError) => void;
  /** When whoever waits for it knows what came of it. */
  readonly told: Promise<void>;
  /** When its thread is back, too. */
  readonly ended: Promise<void>;
}

export class WorkerPool {
  readonly #threadCount: number;
  #threads: Threads | null = null;
  readonly #underWay = new Set<UnderWay>();
  readonly #waiting: (() => void)[] = [];

  constructor(threadCount: number = availableParallelism()) {
    this.#threadCount = threadCount;
  }

  /**
   * Starts a thread that loads what it needs for a kind of task, while the caller does something
   * else. What goes wrong is told by the first task that is meant.
   */
  static async starting(kind: 'store-extents' | 'read-extents'): Promise<WorkerPool> {
    const workers = new WorkerPool();
    await workers.#current().piscina.catch(() => {});
    workers.run(kind, { extents: [] }).catch(() => {});
    return workers;
  }

  /**
   * @param paths files that the task depends on: see `giveUp`.
   * @throws MaintenanceError whatever the worker returned as its error, or was given up for.
   */
  async run<K extends keyof Tasks>(
    kind: K,
    task: Tasks[K]['task'],
    paths: Iterable<string> = [],
  ): Promise<Tasks[K]['result']> {
    while (this.#current().freeCount === 0) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    const threads = this.#current();
    threads.freeCount -= 1;
    threads.underWayCount += 1;
    const filename = join(packageRoot(), 'dist', 'workers', `${kind}.js`);
    const answer = threads.piscina.then((piscina) => piscina.run(task, { filename }));
    let reply: TaskReply<Tasks[K]['result']>;
    try {
      reply = await this.#untilGivenUp(answer, paths, threads);
    } catch (cause) {
      throw asMaintenanceError(cause);
    }
    if (!reply.ok) throw MaintenanceError.fromWire(reply.error);
    return reply.value;
  }

  /** Waits for what another thread does with a file; it can be given up as a task is. */
  waitFor<T>(path: string, work: Promise<T>): Promise<T> {
    return this.#untilGivenUp(work, [path], null);
  }

  #untilGivenUp<T>(work: Promise<T>, paths: Iterable<string>, threads: Threads | null): Promise<T> {
    const ended = settled(work);
    let tell: UnderWay['tell'] = () => {};
    const givenUp = new Promise<never>((_, reject) => {
      tell = (path, error) => reject(new GivenUpError(error, path, ended));
    });
    const result = Promise.race([work, givenUp]);
    const told = settled(result);
    const isGivenUp = false;
    const underWay: UnderWay = { threads, paths: new Set(paths), isGivenUp, tell, told, ended };
    this.#underWay.add(underWay);
    void ended.then(() => this.#end(underWay));
    return result;
  }

  /** Lets whoever waits for tasks on this file have the error, and tasks to come other threads. */
  giveUp(path: string, error: MaintenanceError): void {
    for (const underWay of this.#underWay) {
      if (underWay.isGivenUp || !underWay.paths.has(path)) continue;
      underWay.isGivenUp = true;
      if (underWay.threads && underWay.threads === this.#threads) this.#threads = null;
      underWay.tell(path, error);
    }
    this.#wake();
  }

  /** Files that threads wait for although their tasks were given up. */
  get stuckPaths(): string[] {
    const stuck = [...this.#underWay].filter(({ isGivenUp }) => isGivenUp);
    return [...new Set(stuck.flatMap(({ paths }) => [...paths]))];
  }

  /** Does something when nothing that was given up is under way any more: at once, as a rule. */
  whenNoneIsStuck(body: () => void): void {
    const stuck = [...this.#underWay].filter(({ isGivenUp }) => isGivenUp);
    if (stuck.length === 0) body();
    else
      void Promise.all(stuck.map(({ ended }) => ended))
        .then(body, () => {})
        .catch(() => {});
  }

  /** Waits for the tasks under way, but for those that were given up. */
  async close(): Promise<void> {
    for (;;) {
      const waitedFor = [...this.#underWay].filter(({ isGivenUp }) => !isGivenUp);
      if (waitedFor.length === 0) break;
      await Promise.all(waitedFor.map(({ told }) => told));
    }
    await (await this.#threads?.piscina)?.close();
  }

  #current(): Threads {
    this.#threads ??= {
      piscina: startThreads(this.#threadCount),
      freeCount: this.#threadCount,
      underWayCount: 0,
    };
    return this.#threads;
  }

  #end(underWay: UnderWay): void {
    const { threads } = underWay;
    this.#underWay.delete(underWay);
    if (!threads) return;
    threads.freeCount += 1;
    threads.underWayCount -= 1;
    if (threads === this.#threads) this.#wake();
    // Left behind, and the last of them has come back.
    else if (threads.underWayCount === 0) void threads.piscina.then((piscina) => piscina.close());
  }

  /** Each looks whether a thread is free, in the order in which they came. */
  #wake(): void {
    for (const next of this.#waiting.splice(0)) next();
  }
}

async function settled(work: Promise<unknown>): Promise<void> {
  await work.catch(() => {});
}

/** Of a task whose disk does not answer: its thread may still be at work. */
export class GivenUpError extends MaintenanceError {
  /** The file that does not answer. */
  readonly path: string;
  readonly ended: Promise<void>;

  /** @param name of what it was asked for. */
  constructor(
    { code, message, details, nextStep }: MaintenanceError,
    path: string,
    ended: Promise<void>,
    name: string | null = null,
  ) {
    const extras = { details, ...(nextStep === null ? {} : { nextStep }) };
    super(code, name === null ? message : `${name}: ${message}`, extras);
    this.path = path;
    this.ended = ended;
  }

  naming(name: string): GivenUpError {
    return new GivenUpError(this, this.path, this.ended, name);
  }
}

/**
 * Does what must wait until no thread is at work on a task that threw: at once, or once the thread has
 * come back of one that was given up.
 */
export function whenEnded(cause: unknown, body: () => void): void {
  if (!(cause instanceof GivenUpError)) body();
  // The pool may be closed by then: what it had reserved goes back when it is opened next.
  else void cause.ended.then(body).catch(() => {});
}

/** Loaded at the first task: commands that only look at a pool start faster without it. */
async function startThreads(maxThreads: number): Promise<Piscina> {
  const { FixedQueue, Piscina } = await import('piscina');
  const piscina = new Piscina({
    minThreads: 0,
    maxThreads,
    idleTimeout: IDLE_THREAD_MS,
    taskQueue: new FixedQueue(),
    // Files are opened by the addon and closed by Node, which would warn of each.
    trackUnmanagedFds: false,
  });
  // Without a listener an uncaught error in a thread ends the process; the task rejects anyway.
  piscina.on('error', () => {});
  return piscina;
}
