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
import { totalBytes } from '../src/domain/units.js';
import { crashPoint } from '../src/kernel/crash-point.js';
import { syncData, writeFully } from '../src/kernel/file-io.js';
import { dropPageCache } from '../src/kernel/page-cache.js';
import { hasChecksum } from './checksum.js';
import { DiskFiles, extentBuffer, readRuns } from './replica-io.js';
import { settle } from './settle.js';

export default (task: RewriteTask) => settle(() => rewriteExtents(task));

/** @returns one outcome per extent, in order. */
export function rewriteExtents({ extents, stopFlag }: RewriteTask): RewriteOutcome[] {
  using disks = new DiskFiles();
  const outcomes = extents.map((extent): RewriteOutcome => {
    if (stopFlag && Atomics.load(stopFlag, 0) === 1) return { kind: 'not-begun' };
    return attempt(() => copyExtent(extent, disks));
  });
  crashPoint('rewrite-written');
  const flushed = flushTargets(extents, outcomes, disks);
  crashPoint('rewrite-synced');
  const verified = extents.map((extent, index) => {
    const outcome = flushed[index] ?? { kind: 'not-begun' };
    if (outcome.kind !== 'verified') return outcome;
    return attempt(() => {
      readBack(extent, disks);
      return outcome.badReplicas;
    });
  });
  crashPoint('rewrite-verified');
  return verified;
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

function copyExtent(extent: RewriteExtent, disks: DiskFiles): readonly BadReplica[] {
  const whole = extentBuffer(totalBytes(extent.target.runs));
  const badReplicas = readGoodSource(extent, whole, disks);
  whole.fill(0, extent.sizeBytes);
  crashPoint('rewrite-read');
  const { file } = disks.open(extent.target.path, 'write', true);
  for (const { run, contentOffsetBytes } of extent.writes) {
    const content = whole.subarray(contentOffsetBytes, contentOffsetBytes + run.lengthBytes);
    writeFully(file, content, run.startBytes);
  }
  return badReplicas;
}

/** Reads replicas in turn until one has the checksum that the catalogue knows. */
function readGoodSource(
  extent: RewriteExtent,
  whole: Buffer,
  disks: DiskFiles,
): readonly BadReplica[] {
  const badReplicas: BadReplica[] = [];
  for (const source of extent.sources) {
    const reason = readSource(source, extent, whole, disks);
    if (reason === null) return badReplicas;
    badReplicas.push({ diskId: source.diskId, reason });
  }
  throw new MaintenanceError('ERR_CHECKSUM_MISMATCH', 'no replica of the extent is good', {
    details: { badReplicas },
    nextStep: 'Bring back the disks that are away, or restore the object from a backup.',
  });
}

function readSource(
  source: ReplicaLocation,
  extent: RewriteExtent,
  whole: Buffer,
  disks: DiskFiles,
): string | null {
  try {
    readRuns(disks.open(source.path, 'read', true).file, source, whole);
    return hasChecksum(whole.subarray(0, extent.sizeBytes), extent.checksum)
      ? null
      : 'wrong checksum';
  } catch (cause) {
    return asMaintenanceError(cause).message;
  }
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

/** What the cache holds proves nothing about the disk. */
function readBack({ target, sizeBytes, checksum }: RewriteExtent, disks: DiskFiles): void {
  const whole = extentBuffer(totalBytes(target.runs));
  const { file, direct } = disks.open(target.path, 'write', true);
  if (!direct) for (const run of target.runs) dropPageCache(file, run);
  readRuns(file, target, whole);
  if (hasChecksum(whole.subarray(0, sizeBytes), checksum)) return;
  throw new MaintenanceError(
    'ERR_CHECKSUM_MISMATCH',
    `${target.path} did not keep what was written to it`,
    { nextStep: 'The extent is unharmed. Check this disk, and remove it from the pool.' },
  );
}
