/** The agent's work on an extent pool. */

import { type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { isUnfit } from '../domain/disk-health.js';
import type { DiskFigures, FragmentationGauges } from '../domain/pool-figures.js';
import { accountDisks } from '../pool/extent-pool/audit.js';
import { CATALOGUE_FILE } from '../pool/extent-pool/catalogue.js';
import { AGENT_LOCK_FILE, diskTimeoutMs } from '../pool/extent-pool/disk-calls.js';
import { ExtentPool } from '../pool/extent-pool/extent-pool.js';
import { ExtentPoolGround } from '../pool/extent-pool/reclamation-ground.js';
import type { RunBatchPayload } from '../queue/payloads.js';
import { processAnalyze } from './analyze.js';
import { DefragBatches } from './defrag-batch.js';
import { HealthWatch } from './health-watch.js';
import { measureAfter } from './payback.js';
import { processPolicyTick } from './policy-tick.js';
import type { DefragPayload, DefragReport, PoolWork } from './pool-work.js';
import { Reclaimer } from './reclamation.js';
import type { BatchReport } from './run-batch.js';
import { processScrubBatch } from './scrub-batch.js';
import { processTrimBatch } from './trim-batch.js';

export class ExtentPoolWork implements PoolWork {
  readonly pool: ExtentPool;
  readonly #defrag: DefragBatches;
  readonly #health: HealthWatch;
  readonly reclaimer: Reclaimer;
  readonly #ground: ExtentPoolGround;
  readonly #catalogue: Stats | undefined;

  /** @throws MaintenanceError as `ExtentPool.open`. */
  constructor(path: string) {
    this.#catalogue = catalogueOf(path);
    this.pool = ExtentPool.open(path, { diskTimeoutMs: diskTimeoutMs() });
    this.#defrag = new DefragBatches(this.pool.context);
    this.#health = new HealthWatch(this.pool.context);
    this.#ground = new ExtentPoolGround(this.pool.context);
    this.reclaimer = new Reclaimer(this.#ground, () => this.analyze());
  }

  static lockPath(path: string): string {
    return join(path, AGENT_LOCK_FILE);
  }

  /** What a dead writer left was returned when the pool was opened. */
  async prepare(): Promise<null> {
    return null;
  }

  async analyze(): Promise<unknown> {
    return processAnalyze(this.pool.context);
  }

  async defrag(payload: DefragPayload): Promise<DefragReport> {
    const report = await this.#defrag.process(payload);
    if (payload.kind === 'batch') await measureAfter(this.pool.context, payload.runId);
    return report;
  }

  trim(payload: RunBatchPayload): Promise<BatchReport> {
    return processTrimBatch(this.pool.context, payload);
  }

  scrub(payload: RunBatchPayload): Promise<BatchReport> {
    return processScrubBatch(this.pool.context, payload);
  }

  async tick(): Promise<unknown> {
    return processPolicyTick(this.#ground);
  }

  beginUrgent(): void {
    this.#health.look();
  }

  forgetIdle(): void {
    this.#defrag.forgetIdle();
  }

  isThere(): boolean {
    const now = catalogueOf(this.pool.path);
    return now?.ino === this.#catalogue?.ino && now?.dev === this.#catalogue?.dev;
  }

  disks(): DiskFigures[] {
    const { context } = this.pool;
    const accounts = accountDisks(context);
    return context.store.disks.all().map((disk) => {
      const account = accounts.find((one) => one.diskId === disk.diskId);
      return {
        uuid: disk.uuid,
        online: context.diskState(disk).condition === 'online',
        fit: !isUnfit(context.store.health.get(disk.diskId).state),
        errorCount: context.store.health.get(disk.diskId).errorCount,
        capacityBytes: disk.capacityBytes,
        usedBytes: account?.usedBytes ?? 0,
        freeBytes: account?.freeBytes ?? 0,
        pendingBytes: account?.pendingBytes ?? 0,
        pendingRunCount: account?.pendingRunCount ?? 0,
        reservedBytes: account?.reservedBytes ?? 0,
      };
    });
  }

  fragmentation(): FragmentationGauges | null {
    return this.pool.context.settings().lastAnalysis ?? null;
  }

  probeDisks(): void {
    this.pool.context.probeDisks();
  }

  stuckPaths(): string[] {
    return this.pool.context.stuckPaths();
  }

  close(): Promise<void> {
    return this.pool.close();
  }

  closeUnused(): void {
    this.pool.context.closeFiles();
  }
}

function catalogueOf(poolPath: string): Stats | undefined {
  return statSync(join(poolPath, CATALOGUE_FILE), { throwIfNoEntry: false });
}
