/**
 * Piscina task: write replicas of some extents to new places, and believe them only when they were
 * read back from the disk. Step 2 of the rewrite protocol; the main thread does the rest.
 *
 * All are written, the disks are flushed once, then all are read back: a flush costs as much for one
 * extent as for four. An extent that fails does not touch the others.
 */

import { asMaintenanceError, MaintenanceError } from '../src/domain/errors.js';
import type {
  BadReplica,
  ReplicaLocation,
  RewriteExtent,
  RewriteOutcome,
  RewriteTask,
} from '../src/domain/tasks.js';
import { MIB } from '../src/domain/units.js';
import { crashPoint } from '../src/kernel/crash-point.js';
import { syncData } from '../src/kernel/file-io.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { dropPageCache } from '../src/kernel/page-cache.js';
import { TransferBatch } from '../src/kernel/transfer-batch.js';
import { Pace } from './move-pace.js';
import { DiskFiles, finishWrites, readingAhead } from './replica-io.js';
import { settle } from './settle.js';
import {
  beginRead,
  type FirstRead,
  finishRead,
  type GoodReplica,
  type OpenReplicaFile,
} from './verified-read.js';

export default (task: RewriteTask) => settle(() => rewriteExtents(task));

/** Larger extents are written before the next is read, so that memory stays bounded. */
const OVERLAP_BYTES_MAX = 16 * MIB;

/** @returns one outcome per extent, in order. */
export function rewriteExtents({ extents, stopFlag }: RewriteTask): RewriteOutcome[] {
  using disks = new DiskFiles();
  const pace = new Pace(stopFlag);
  const overlaps = extents.every(({ sizeBytes }) => sizeBytes <= OVERLAP_BYTES_MAX);
  using writes = new TargetWrites(disks);
  const openSource: OpenReplicaFile = ({ path }) => disks.open(path, 'read', true).file;
  readingAhead(
    extents.map((extent, index) => ({ ...extent, index, replicas: extent.sources })),
    (extent, slot) => (pace.isStopped ? NOT_BEGUN : beginRead(extent, slot, openSource)),
    (extent, first) => {
      if (first === NOT_BEGUN) return;
      writes.begin(extent, () => finishRead(extent, first, openSource));
      // Others use the disk: a piece is finished before a rest.
      if (!overlaps || pace.givesWay) writes.finish();
      pace.breathe();
    },
    // One is read and one is written while a third is hashed.
    overlaps ? 2 : 1,
    () => 1,
  );
  writes.finish();
  const outcomes = extents.map((_, index) => writes.outcomes.get(index) ?? NOT_BEGUN_OUTCOME);
  crashPoint('rewrite-written');
  const flushed = flushTargets(extents, outcomes, disks);
  crashPoint('rewrite-synced');
  pace.breathe();
  const verified = readBack(extents, flushed, { disks, pace, aheadMax: overlaps ? 2 : 1 });
  crashPoint('rewrite-verified');
  return verified;
}

const NOT_BEGUN: FirstRead = { slot: 0, attempt: () => null, settle: () => {} };
const NOT_BEGUN_OUTCOME: RewriteOutcome = { kind: 'not-begun' };

/** Writes one target at a time, while its thread does something else. */
class TargetWrites implements Disposable {
  /** By the index of the extent. */
  readonly outcomes = new Map<number, RewriteOutcome>();
  readonly #disks: DiskFiles;
  #underWay: { readonly index: number; readonly batch: TransferBatch } | null = null;

  constructor(disks: DiskFiles) {
    this.#disks = disks;
  }

  begin(extent: RewriteExtent & { readonly index: number }, read: () => GoodReplica): void {
    const { index } = extent;
    const outcome = attempt(() => {
      const good = read();
      this.finish();
      const batch = beginWrite(extent, good, this.#disks);
      this.#underWay = { index, batch };
      return good.badReplicas;
    });
    this.outcomes.set(index, outcome);
  }

  finish(): void {
    const underWay = this.#underWay;
    if (!underWay) return;
    this.#underWay = null;
    const { index, batch } = underWay;
    const written = attempt(() => {
      finishWrites(batch);
      return [];
    });
    if (written.kind !== 'failed') return;
    const before = this.outcomes.get(index);
    const badReplicas = before?.kind === 'verified' ? before.badReplicas : [];
    this.outcomes.set(index, { ...written, badReplicas });
  }

  /** After an error: the files are closed next. */
  [Symbol.dispose](): void {
    this.#underWay?.batch.finish();
  }
}

/** `verified` so far: each step turns it into `failed` or leaves it. */
function attempt(step: () => readonly BadReplica[]): RewriteOutcome {
  try {
    return { kind: 'verified', badReplicas: step() };
  } catch (cause) {
    const error = asMaintenanceError(cause);
    const badReplicas = (error.details.badReplicas ?? []) as readonly BadReplica[];
    return { kind: 'failed', error: error.toWire(), badReplicas };
  }
}

function beginWrite(
  extent: RewriteExtent,
  { whole, badReplicas }: GoodReplica,
  disks: DiskFiles,
): TransferBatch {
  if (whole === null) {
    throw new MaintenanceError('ERR_CHECKSUM_MISMATCH', 'no replica of the extent is good', {
      details: { badReplicas },
      nextStep: 'Bring back the disks that are away, or restore the object from a backup.',
    });
  }
  whole.fill(0, extent.sizeBytes);
  crashPoint('rewrite-read');
  const { file } = disks.open(extent.target.path, 'write', true);
  const requests = extent.writes.map(({ run, contentOffsetBytes }) => ({
    file,
    atBytes: run.startBytes,
    lengthBytes: run.lengthBytes,
    bufferBytes: contentOffsetBytes,
  }));
  return TransferBatch.write(requests, whole);
}

/** A flush that fails fails every extent on its disk: the kernel does not say whose data was lost. */
function flushTargets(
  extents: readonly RewriteExtent[],
  outcomes: readonly RewriteOutcome[],
  disks: DiskFiles,
): RewriteOutcome[] {
  const failures = new Map<string, RewriteOutcome>();
  const written = extents.filter((_, index) => outcomes[index]?.kind === 'verified');
  for (const path of new Set(written.map((extent) => extent.target.path))) {
    const outcome = attempt(() => {
      syncData(disks.open(path, 'write', true).file);
      return [];
    });
    if (outcome.kind === 'failed') failures.set(path, outcome);
  }
  return outcomes.map((outcome, index) => {
    const failure = failures.get(extents[index]?.target.path ?? '');
    return outcome.kind === 'verified' && failure ? failure : outcome;
  });
}

/** Step by step as before the flush: the next targets are read while one is hashed. */
function readBack(
  extents: readonly RewriteExtent[],
  flushed: readonly RewriteOutcome[],
  { disks, pace, aheadMax }: { disks: DiskFiles; pace: Pace; aheadMax: number },
): RewriteOutcome[] {
  const outcomes = [...flushed];
  const written = extents.flatMap((extent, index) =>
    flushed[index]?.kind === 'verified' ? [{ ...extent, replicas: [extent.target], index }] : [],
  );
  const open: OpenReplicaFile = (target) => openTarget(target, disks);
  readingAhead(
    written,
    (extent, slot) => beginRead(extent, slot, open),
    (extent, first) => {
      const before = outcomes[extent.index];
      const { whole, badReplicas } = finishRead(extent, first, open);
      if (whole === null) outcomes[extent.index] = notKept(extent, badReplicas, before);
      pace.breathe();
    },
    aheadMax,
    () => (pace.givesWay ? 1 : aheadMax),
  );
  return outcomes;
}

/** What the cache holds proves nothing about the disk. */
function openTarget(target: ReplicaLocation, disks: DiskFiles): OpenFile {
  const { file, direct } = disks.open(target.path, 'write', true);
  if (!direct) for (const run of target.runs) dropPageCache(file, run);
  return file;
}

function notKept(
  { target }: RewriteExtent,
  [problem]: readonly BadReplica[],
  before: RewriteOutcome | undefined,
): RewriteOutcome {
  const error = new MaintenanceError(
    'ERR_CHECKSUM_MISMATCH',
    `${target.path} did not keep what was written to it: ${problem?.reason}`,
    { nextStep: 'The extent is unharmed. Check this disk, and remove it from the pool.' },
  );
  const badReplicas = before?.kind === 'verified' ? before.badReplicas : [];
  return { kind: 'failed', error: error.toWire(), badReplicas };
}
