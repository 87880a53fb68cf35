/** The agent's work on a mounted file system. */

import { statfsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MaintenanceError } from '../domain/errors.js';
import type { FsAnalysis } from '../domain/fs-analysis.js';
import type { DiskFigures, FragmentationGauges } from '../domain/pool-figures.js';
import { claimFileSystem } from '../kernel/file-system-claim.js';
import { fsPoolDirectory } from '../pool/fs-pool/context.js';
import { FsPool } from '../pool/fs-pool/fs-pool.js';
import { FsPoolGround } from '../pool/fs-pool/reclamation-ground.js';
import { mountOfRegistered } from '../pool/fs-pool/register.js';
import { analyzeMount } from '../pool/fs-pool/scan.js';
import type { RunBatchPayload } from '../queue/payloads.js';
import type { RegisteredFileSystem } from '../store/registry.js';
import { AnalysisWatch } from './analysis-watch.js';
import { beginWanted } from './begin-wanted.js';
import { wantsAnalysis } from './fs-analysis-due.js';
import { FsDefragBatches } from './fs-defrag-batch.js';
import { processFsTrim } from './fs-trim-batch.js';
import { measureAfter } from './payback.js';
import type { DefragPayload, DefragReport, PoolWork } from './pool-work.js';
import { Reclaimer } from './reclamation.js';
import { type BatchReport, SUPERSEDED } from './run-batch.js';
import { recordTrend } from './trends.js';

const WORST_COUNT = 20;
/** Of the time, in which an analysis works that nobody waits for. */
const UNASKED_SHARE = 0.25;
/** A tick waits no longer for an analysis that nobody asked for. */
const TICK_WAIT_MS = 20_000;

export class FsPoolWork implements PoolWork {
  readonly pool: FsPool;
  readonly #defrag: FsDefragBatches;
  readonly reclaimer: Reclaimer;
  readonly #ground: FsPoolGround;
  readonly #giveUpClaim: () => void;
  #isAnalysing = false;

  /**
   * @throws MaintenanceError ERR_DISK_UNAVAILABLE while it is not mounted, ERR_TARGET_BUSY while the
   *   agent of another state directory works on it, and as `FsPool.open`.
   */
  constructor(stateDirectory: string, registered: RegisteredFileSystem) {
    // First, and without its store: while it is away the agent asks every second.
    mountOfRegistered(registered);
    this.#giveUpClaim = claimFileSystem(registered.fileSystemUuid, stateDirectory);
    try {
      this.pool = FsPool.open(stateDirectory, registered);
    } catch (cause) {
      this.#giveUpClaim();
      throw cause;
    }
    this.#defrag = new FsDefragBatches(this.pool.context);
    this.#ground = new FsPoolGround(this.pool.context);
    this.reclaimer = new Reclaimer(this.#ground, () => this.#analyze(UNASKED_SHARE));
  }

  static lockPath(stateDirectory: string, poolId: string): string {
    return join(fsPoolDirectory(stateDirectory, poolId), 'agent.lock');
  }

  prepare(): Promise<object | null> {
    return this.#defrag.settle();
  }

  analyze(): Promise<FsAnalysis> {
    return this.#analyze(1);
  }

  /**
   * @param shareMax of the time in which its threads may work, all together.
   * @throws MaintenanceError ERR_TARGET_BUSY when the agent ends before it does.
   */
  async #analyze(shareMax: number): Promise<FsAnalysis> {
    const { context } = this.pool;
    const mount = context.mount();
    const threadCount = availableParallelism();
    const deviceNames = () => mount.devices.map(({ name }) => name);
    using watch = new AnalysisWatch(context, { threadCount, shareMax, deviceNames });
    const { analysis, scan } = await analyzeMount(context.workers, mount, {
      subtree: null,
      threadCount,
      control: watch.scan,
      mapCellCount: 0,
      worstCount: WORST_COUNT,
      nowMs: context.clock(),
    });
    if (scan.stopped) throw endedTooSoon(context.path);
    // Triggers decide by it, and a part of the files says nothing of the others.
    const { incomplete } = analysis;
    if (incomplete && (scan.missedPartCount > 0 || scan.fileCount === 0)) {
      throw MaintenanceError.fromWire(incomplete);
    }
    context.store.settings.write({ lastAnalysis: analysis });
    return analysis;
  }

  /** Others may keep it from its end for hours: then it goes on beside the ticks that follow. */
  async #analyzeUnasked(): Promise<void> {
    const analysis = this.#analyze(UNASKED_SHARE).finally(() => {
      this.#isAnalysing = false;
    });
    this.#isAnalysing = true;
    // What fails while nobody waits any more is tried again by a later tick.
    analysis.catch(() => {});
    await Promise.race([analysis, sleep(TICK_WAIT_MS, null, { ref: false })]);
  }

  async defrag(payload: DefragPayload): Promise<DefragReport> {
    const report = await this.#defrag.process(payload);
    if (payload.kind === 'batch') await measureAfter(this.pool.context, payload.runId);
    return report;
  }

  trim(payload: RunBatchPayload): Promise<BatchReport> {
    return processFsTrim(this.pool.context, payload);
  }

  /** Nothing begins one: the job is somebody else's. */
  async scrub(): Promise<BatchReport> {
    return SUPERSEDED;
  }

  async tick(): Promise<{ reclamationId: number | null }> {
    const { context } = this.pool;
    recordTrend(context);
    if (!this.#isAnalysing && wantsAnalysis(context)) await this.#analyzeUnasked();
    return { reclamationId: beginWanted(this.#ground) };
  }

  /** A mounted file system keeps its own copies, if any. */
  beginUrgent(): void {}

  forgetIdle(): void {
    this.#defrag.forgetIdle();
  }

  isThere(): boolean {
    return this.pool.context.findMount() !== null;
  }

  disks(): DiskFigures[] {
    const { context } = this.pool;
    const mount = context.findMount();
    const { blocks, bfree, bsize } = mount
      ? statfsSync(mount.path)
      : { blocks: 0, bfree: 0, bsize: 0 };
    return [
      {
        uuid: context.fileSystemUuid,
        online: mount !== null && !mount.isReadOnly,
        fit: true,
        errorCount: 0,
        capacityBytes: blocks * bsize,
        usedBytes: (blocks - bfree) * bsize,
        freeBytes: bfree * bsize,
        pendingBytes: 0,
        pendingRunCount: 0,
        reservedBytes: 0,
      },
    ];
  }

  fragmentation(): FragmentationGauges | null {
    return this.pool.context.settings().lastAnalysis ?? null;
  }

  /** A mount that hangs cannot be told from one that is slow. */
  probeDisks(): void {}

  stuckPaths(): string[] {
    return [];
  }

  async close(): Promise<void> {
    try {
      await this.pool.close();
    } finally {
      this.#giveUpClaim();
    }
  }

  closeUnused(): void {
    this.pool.context.store.close();
    this.#giveUpClaim();
  }
}

function endedTooSoon(path: string): MaintenanceError {
  return new MaintenanceError('ERR_TARGET_BUSY', `the agent ended before ${path} was analysed`, {
    nextStep: 'The next agent does it.',
  });
}
