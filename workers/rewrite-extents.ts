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
import { crashPoint } from '../src/kernel/crash-point.js';
import { syncData, writeFully } from '../src/kernel/file-io.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { dropPageCache } from '../src/kernel/page-cache.js';
import { Pace } from './move-pace.js';
import { DiskFiles, readingAhead } from './replica-io.js';
import { settle } from './settle.js';
import { beginRead, finishRead, type GoodReplica, type OpenReplicaFile } from './verified-read.js';

export default (task: RewriteTask) => settle(() => rewriteExtents(task));

/** @returns one outcome per extent, in order. */
export async function rewriteExtents({
  extents,
  stopFlag,
}: RewriteTask): Promise<RewriteOutcome[]> {
  using disks = new DiskFiles();
  const pace = new Pace(stopFlag);
  const outcomes: RewriteOutcome[] = [];
  const openSource: OpenReplicaFile = ({ path }) => disks.open(path, 'read', true).file;
  await readingAhead(
    extents.map((extent) => ({ ...extent, replicas: extent.sources })),
    async (extent, slot) => {
      if (pace.isStopped) return null;
      return await beginRead(extent, slot, openSource);
    },
    async (extent, first) => {
      if (first === null) outcomes.push({ kind: 'not-begun' });
      else {
        const copy = async () =>
          writeTarget(extent, await finishRead(extent, first, openSource), disks);
        outcomes.push(await attempt(copy));
        pace.breathe();
      }
    },
  );
  crashPoint('rewrite-written');
  const flushed = await flushTargets(extents, outcomes, disks);
  crashPoint('rewrite-synced');
  pace.breathe();
  const verified = await readBack(extents, flushed, disks, pace);
  crashPoint('rewrite-verified');
  return verified;
}

/** `verified` so far: each step turns it into `failed` or leaves it. */
async function attempt(
  step: () => Promise<readonly BadReplica[]> | readonly BadReplica[],
): Promise<RewriteOutcome> {
  try {
    return { kind: 'verified', badReplicas: await step() };
  } catch (cause) {
    const error = asMaintenanceError(cause);
    const badReplicas = (error.details.badReplicas ?? []) as readonly BadReplica[];
    return { kind: 'failed', error: error.toWire(), badReplicas };
  }
}

function writeTarget(
  extent: RewriteExtent,
  { whole, badReplicas }: GoodReplica,
  disks: DiskFiles,
): readonly BadReplica[] {
  if (whole === null) {
    throw new MaintenanceError('ERR_CHECKSUM_MISMATCH', 'no replica of the extent is good', {
      details: { badReplicas },
      nextStep: 'Bring back the disks that are away, or restore the object from a backup.',
    });
  }
  whole.fill(0, extent.sizeBytes);
  crashPoint('rewrite-read');
  const { file } = disks.open(extent.target.path, 'write', true);
  for (const { run, contentOffsetBytes } of extent.writes) {
    const content = whole.subarray(contentOffsetBytes, contentOffsetBytes + run.lengthBytes);
    writeFully(file, content, run.startBytes);
  }
  return badReplicas;
}

/** A flush that fails fails every extent on its disk: the kernel does not say whose data was lost. */
async function flushTargets(
  extents: readonly RewriteExtent[],
  outcomes: readonly RewriteOutcome[],
  disks: DiskFiles,
): Promise<RewriteOutcome[]> {
  const failures = new Map<string, RewriteOutcome>();
  const written = extents.filter((_, index) => outcomes[index]?.kind === 'verified');
  for (const path of new Set(written.map((extent) => extent.target.path))) {
    const outcome = await attempt(() => {
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

/** Step by step as before the flush: the next target is read while one is hashed. */
async function readBack(
  extents: readonly RewriteExtent[],
  flushed: readonly RewriteOutcome[],
  disks: DiskFiles,
  pace: Pace,
): Promise<RewriteOutcome[]> {
  const outcomes = [...flushed];
  const written = extents.flatMap((extent, index) =>
    flushed[index]?.kind === 'verified' ? [{ ...extent, replicas: [extent.target], index }] : [],
  );
  const open: OpenReplicaFile = (target) => openTarget(target, disks);
  await readingAhead(
    written,
    (extent, slot) => beginRead(extent, slot, open),
    async (extent, first) => {
      const before = outcomes[extent.index];
      const { whole, badReplicas } = await finishRead(extent, first, open);
      if (whole === null) outcomes[extent.index] = notKept(extent, badReplicas, before);
      pace.breathe();
    },
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
