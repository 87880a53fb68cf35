/**
 * The threads that read, hash, write and discard. The main thread never does: it renews locks and
 * writes SQLite, and a blocked main thread loses its jobs.
 *
 * A task is never aborted from outside: Piscina would kill the thread in the middle of a write. Runs
 * stop between tasks instead.
 */

import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Piscina } from 'piscina';
import { asMaintenanceError, MaintenanceError } from '../domain/errors.js';
import type { FreeSpaceReport, FreeSpaceTask, ScanReport, ScanTask } from '../domain/file-scan.js';
import type {
  FinishMovesTask,
  FinishOutcome,
  PrepareMovesTask,
  PrepareOutcome,
  SettleIntentsReply,
  SettleIntentsTask,
} from '../domain/move-tasks.js';
import type { TimeReadsReply, TimeReadsTask } from '../domain/payback.js';
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
  'settle-intents': { task: SettleIntentsTask; result: SettleIntentsReply };
  'read-trim-windows': { task: ReadTrimWindowsTask; result: TrimWindowList };
  'time-reads': { task: TimeReadsTask; result: TimeReadsReply };
  'trim-window': { task: TrimWindowTask; result: TrimWindowOutcome };
}

/** Threads hold buffers of an extent each: they go after this long without work. */
const IDLE_THREAD_MS = 5_000;

export class WorkerPool {
  readonly #threadCount: number;
  #piscina: Promise<Piscina> | null = null;

  constructor(threadCount: number = availableParallelism()) {
    this.#threadCount = threadCount;
  }

  /**
   * Starts a thread that loads what it needs for a kind of task, while the caller does something
   * else. What goes wrong is told by the first task that is meant.
   */
  static async starting(kind: 'store-extents' | 'read-extents'): Promise<WorkerPool> {
    const workers = new WorkerPool();
    await workers.#threads().catch(() => {});
    workers.run(kind, { extents: [] }).catch(() => {});
    return workers;
  }

  /** @throws MaintenanceError whatever the worker returned as its error. */
  async run<K extends keyof Tasks>(kind: K, task: Tasks[K]['task']): Promise<Tasks[K]['result']> {
    const filename = join(packageRoot(), 'dist', 'workers', `${kind}.js`);
    let reply: TaskReply<Tasks[K]['result']>;
    try {
      reply = await (await this.#threads()).run(task, { filename });
    } catch (cause) {
      throw asMaintenanceError(cause);
    }
    if (!reply.ok) throw MaintenanceError.fromWire(reply.error);
    return reply.value;
  }

  /** Waits for the tasks under way. */
  async close(): Promise<void> {
    await (await this.#piscina)?.close();
  }

  #threads(): Promise<Piscina> {
    this.#piscina ??= startThreads(this.#threadCount);
    return this.#piscina;
  }
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
