/**
 * The discard protocol: gives pending space back to the disks.
 *
 *   1. transaction: a batch of pending runs becomes `discarding`; nothing allocates from it
 *   2. thread: join neighbours, round inward to the granularity, discard, look what was freed
 *   3. transaction: what was discarded is free, what failed is pending with a back-off
 *
 * Safe while: this process owns the pool, so that `discarding` means one batch under way.
 */

import { InvariantError } from '../../domain/errors.js';
import type { MoveControl } from '../../domain/move-tasks.js';
import type { DeviceDiscardTask, DiscardOutcome, DiscardTask } from '../../domain/tasks.js';
import { planTrim, type TrimPlan, wholeBlocks } from '../../domain/trim-plan.js';
import { type ByteRun, MIB, roundUp, totalBytes } from '../../domain/units.js';
import { crashPoint } from '../../kernel/crash-point.js';
import { grantDiscard } from '../../kernel/device-claim.js';
import { mappedBytes } from '../../kernel/fiemap.js';
import type { OpenFile } from '../../kernel/kernel-call.js';
import type { DiskRow } from '../../store/disks.js';
import { whenEnded } from '../worker-pool.js';
import type { PoolContext } from './context.js';
import { withIo } from './data-file.js';
import { deviceDiscard, verifyDevice } from './device-disk.js';
import { BLOCK_BYTES } from './layout.js';

/** What one batch asked for and what it was seen to free. */
export interface TrimReceipt {
  readonly rangeCount: number;
  readonly requestedBytes: number;
  /** Whether the disks can show what they freed; else the next two are 0 and prove nothing. */
  readonly confirmable: boolean;
  readonly confirmedBytes: number;
  readonly reclaimedBytes: number;
  readonly failedCount: number;
  readonly failedBytes: number;
  /** Of these, what was accepted and is seen to be allocated still. */
  readonly refusedBytes: number;
  readonly unsupportedCount: number;
  /** Edges smaller than a granule; they stay pending. */
  readonly skippedBytes: number;
  readonly firstError: string | null;
}

export interface TrimBatch {
  readonly disk: DiskRow;
  readonly fromBytes: number;
  readonly bytesMax: number;
  readonly secureErase: boolean;
  /** Only whole granules of this size are asked for, where the disk's own are smaller. */
  readonly granularityBytes?: number;
  readonly control?: MoveControl;
}

/**
 * @returns the receipt and where the next batch of this disk begins; null when nothing is due there.
 * @throws MaintenanceError ERR_DISK_UNAVAILABLE, or ERR_TARGET_BUSY when another agent took over.
 */
export async function trimBatch(
  context: PoolContext,
  batch: TrimBatch,
): Promise<{ receipt: TrimReceipt; nextBytes: number } | null> {
  const { disk, secureErase } = batch;
  const { path } = context.writableFile(disk);
  const { store } = context;
  const owner = context.writer.newOwner();
  const marked = store.transaction(() => {
    context.assertOwner();
    const { fromBytes, bytesMax } = batch;
    return store.discards.mark(disk.diskId, fromBytes, bytesMax, context.clock(), owner);
  });
  const last = marked.at(-1);
  if (!last) return null;
  crashPoint('discard-marked');

  let device: ReturnType<typeof grantFor> | null = null;
  let receipt: TrimReceipt;
  const letGo = () => {
    device?.[Symbol.dispose]();
    // What rounding cut off, or all of it after an error; never what another process is discarding.
    store.transaction(() => context.releaseReservations(owner));
  };
  try {
    const plan = planFor(disk, path, marked, batch.granularityBytes);
    device = disk.kind === 'device' ? grantFor(context, disk) : null;
    const task: DiscardTask = {
      path,
      ranges: plan.ranges,
      secureErase,
      control: batch.control ?? null,
      device: device?.task ?? null,
    };
    const outcomes = await context.workers.run('discard-ranges', task, [path]);
    countTrims(context, disk.diskId, task, outcomes);
    settle(context, disk.diskId, plan.ranges, outcomes);
    crashPoint('discard-freed');
    receipt = receiptOf(plan.ranges, outcomes, plan.skippedBytes);
  } catch (cause) {
    whenEnded(cause, letGo);
    throw cause;
  }
  letGo();
  return { receipt, nextBytes: last.startBytes + last.lengthBytes };
}

/** Long enough that calls do not count, short enough that a stop does not wait: it cannot be broken off. */
const DEVICE_STEP_BYTES_MAX = 128 * MIB;

function planFor(disk: DiskRow, path: string, runs: readonly ByteRun[], wantedBytes = 0): TrimPlan {
  const granule = (ownBytes: number) => roundUp(Math.max(wantedBytes, ownBytes), ownBytes);
  if (disk.kind === 'directory') return planTrim(runs, granule(disk.granularityBytes));
  const { granularityBytes, alignmentBytes } = deviceDiscard(path);
  return planTrim(runs, granule(granularityBytes), alignmentBytes, BLOCK_BYTES);
}

/** Verified at this moment, and held until the task is done, whatever becomes of the pool meanwhile. */
function grantFor(
  context: PoolContext,
  disk: DiskRow,
): Disposable & { readonly task: DeviceDiscardTask } {
  const { claim, file } = context.diskState(disk);
  if (!claim) throw new InvariantError(`${disk.path} is written to and not claimed`);
  const { path } = claim.claim.file;
  const granted = grantDiscard(claim.claim, (own) =>
    verifyDevice(withIo(own, file?.io ?? null), disk, context.poolId),
  );
  const { granularityBytes, maxBytes, name } = deviceDiscard(path);
  const capBytes = roundUp(DEVICE_STEP_BYTES_MAX, granularityBytes);
  const task = { grant: granted.grant, name, stepBytesMax: Math.min(maxBytes, capBytes) };
  return { task, [Symbol.dispose]: () => granted[Symbol.dispose]() };
}

export interface TrimForecast {
  readonly diskId: string;
  readonly path: string;
  readonly rangeCount: number;
  readonly requestedBytes: number;
  /** Bytes of those ranges that the file system holds now; null where it does not tell. */
  readonly reclaimableBytes: number | null;
  readonly skippedBytes: number;
}

/** What a trim of these disks would ask for now, by the policy that holds; changes nothing. */
export function forecastTrim(context: PoolContext, disks: readonly DiskRow[]): TrimForecast[] {
  const { tiers } = context.store.policies.effective();
  return disks.map((disk) => {
    const { discardGranularityBytes } = tiers[disk.tier].trim;
    const due = context.store.discards.due(disk.diskId, context.clock());
    const { file } = context.diskState(disk);
    const plan = file
      ? planFor(disk, file.path, due, discardGranularityBytes)
      : planTrim(due, disk.granularityBytes);
    return {
      diskId: disk.uuid,
      path: disk.path,
      rangeCount: plan.ranges.length,
      requestedBytes: plan.plannedBytes,
      reclaimableBytes: file && heldBytes(file, plan.ranges),
      skippedBytes: plan.skippedBytes,
    };
  });
}

/** @returns null where nobody tells, which no device does. */
function heldBytes(file: OpenFile, ranges: readonly ByteRun[]): number | null {
  try {
    return ranges.reduce((sum, range) => sum + mappedBytes(file, range), 0);
  } catch {
    return null;
  }
}

/** Of a range that failed, all of its calls. What a disk cannot do was not issued. */
function countTrims(
  { store }: PoolContext,
  diskId: number,
  { ranges, device, secureErase }: DiscardTask,
  outcomes: readonly DiscardOutcome[],
): void {
  const of = (...kinds: DiscardOutcome['kind'][]) =>
    ranges.filter((_, index) => kinds.some((kind) => kind === outcomes[index]?.kind));
  const calls = (some: readonly ByteRun[]) =>
    some.reduce(
      (sum, { lengthBytes }) => sum + (device ? Math.ceil(lengthBytes / device.stepBytesMax) : 1),
      0,
    );
  const [issued, failed] = [of('discarded', 'failed'), of('failed')];
  store.counters.count(diskId, {
    // A device erases by itself.
    writtenBytes: secureErase && !device ? totalBytes(of('discarded')) : 0,
    trimCalls: calls(issued),
    trimBytes: totalBytes(issued),
    failedTrimCalls: calls(failed),
    failedTrimBytes: totalBytes(failed),
  });
}

function settle(
  context: PoolContext,
  diskId: number,
  ranges: readonly ByteRun[],
  outcomes: readonly DiscardOutcome[],
): void {
  const { store } = context;
  const nowMs = context.clock();
  store.transaction(() => {
    context.assertOwner();
    for (const [index, outcome] of outcomes.entries()) {
      const range = ranges[index];
      if (!range) continue;
      const blocks = wholeBlocks(range, BLOCK_BYTES);
      if (outcome.kind === 'failed') store.discards.settleFailed(diskId, blocks, nowMs);
      else store.discards.settleFree(diskId, blocks);
    }
    const receipt = receiptOf(ranges, outcomes, 0);
    store.totals.add({
      trim_operations: 1,
      trim_ranges: receipt.rangeCount,
      trim_bytes_requested: receipt.requestedBytes,
      trim_bytes_confirmed: receipt.confirmedBytes,
      trim_bytes_reclaimed: receipt.reclaimedBytes,
      trim_failures: receipt.failedCount,
      trim_bytes_refused: receipt.refusedBytes,
      trim_unsupported: receipt.unsupportedCount,
    });
    store.totals.set('trim_last_at_ms', nowMs);
  });
}

function receiptOf(
  ranges: readonly ByteRun[],
  outcomes: readonly DiscardOutcome[],
  skippedBytes: number,
): TrimReceipt {
  const discarded = outcomes.filter((outcome) => outcome.kind === 'discarded');
  const failed = outcomes.filter((outcome) => outcome.kind === 'failed');
  const unsupported = outcomes.filter((outcome) => outcome.kind === 'unsupported');
  const failedRanges = ranges.filter((_, index) => outcomes[index]?.kind === 'failed');
  const refusedRanges = ranges.filter((_, index) => isRefused(outcomes[index]));
  const sum = (pick: (outcome: (typeof discarded)[number]) => number) =>
    discarded.reduce((total, outcome) => total + pick(outcome), 0);
  return {
    rangeCount: ranges.length,
    requestedBytes: totalBytes(ranges),
    confirmable: discarded.every((outcome) => outcome.confirmable),
    confirmedBytes: sum((outcome) => outcome.confirmedBytes),
    reclaimedBytes: sum((outcome) => outcome.reclaimedBytes),
    failedCount: failed.length,
    failedBytes: totalBytes(failedRanges),
    refusedBytes: totalBytes(refusedRanges),
    unsupportedCount: unsupported.length,
    skippedBytes,
    firstError: [...failed, ...unsupported][0]?.error.message ?? null,
  };
}

function isRefused(outcome: DiscardOutcome | undefined): boolean {
  return outcome?.kind === 'failed' && outcome.isRefused;
}
