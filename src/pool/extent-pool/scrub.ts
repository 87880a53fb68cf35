/** Verifies replicas where they lie, without moving anything: what a scrub does, piece by piece. */

import type { MoveControl } from '../../domain/move-tasks.js';
import { SCRUB_EXTENTS_MAX, splitTasks } from '../../domain/scrub.js';
import type { VerifyOutcome, VerifyReplica } from '../../domain/tasks.js';
import type { ByteRun } from '../../domain/units.js';
import type { ExtentRow } from '../../store/extents.js';
import type { Candidate } from '../../store/rewrite-candidates.js';
import { TaskGate } from '../task-gate.js';
import { noteBadReplicas } from './bad-replicas.js';
import type { PoolContext } from './context.js';

/** What one batch verifies. */
export interface ScrubPick {
  readonly replicas: readonly VerifyReplica[];
  /** Replicas of these extents on disks that cannot be read now. */
  readonly awayCount: number;
  /** Where the next batch goes on; null when there is no extent any more. */
  readonly lastExtentId: number | null;
}

export interface Verified {
  readonly goodCount: number;
  readonly verifiedBytes: number;
  readonly bad: readonly (Candidate & { readonly reason: string })[];
}

export interface VerifyOptions {
  readonly runId: number;
  /** At work at a time. */
  readonly threadCount: number;
  readonly stopFlag: MoveControl;
}

const PAGE_EXTENTS = 256;

/** The next extents, with all their replicas or those of one disk. */
export function pickForScrub(
  context: PoolContext,
  afterExtentId: number,
  diskId: number | null,
  bytesMax: number,
): ScrubPick {
  const { extents } = context.store;
  const locate = locator(context);
  const replicas: VerifyReplica[] = [];
  let awayCount = 0;
  let bytes = 0;
  let extentCount = 0;
  let lastExtentId: number | null = null;
  while (bytes < bytesMax && extentCount < SCRUB_EXTENTS_MAX) {
    const after: number = lastExtentId ?? afterExtentId;
    const page: ExtentRow[] =
      diskId === null
        ? extents.page(after, PAGE_EXTENTS)
        : extents.pageOnDisk(diskId, after, PAGE_EXTENTS);
    for (const { extentId, sizeBytes, checksum } of page) {
      for (const replica of extents.replicas(extentId)) {
        if (diskId !== null && replica.diskId !== diskId) continue;
        const location = locate(replica);
        if (!location) awayCount += 1;
        else {
          replicas.push({ extentId, sizeBytes, checksum, replica: location });
          bytes += sizeBytes;
        }
      }
      lastExtentId = extentId;
      extentCount += 1;
      if (bytes >= bytesMax) break;
    }
    if (page.length < PAGE_EXTENTS) break;
  }
  return { replicas, awayCount, lastExtentId };
}

/** As `context.locate`, which looks at the disk for every replica: once for each disk. */
function locator(context: PoolContext): PoolContext['locate'] {
  const paths = new Map<number, string | null>();
  return (replica) => {
    let path = paths.get(replica.diskId);
    if (path === undefined) {
      path = context.locate(replica)?.path ?? null;
      paths.set(replica.diskId, path);
    }
    return path === null ? null : { ...replica, path };
  };
}

/**
 * Reads and verifies what was picked, and notes what is bad; nothing is repaired.
 *
 * @returns null when a stop came before all were verified.
 */
export async function verifyPicked(
  context: PoolContext,
  { replicas }: ScrubPick,
  { runId, threadCount, stopFlag }: VerifyOptions,
): Promise<Verified | null> {
  const gate = new TaskGate(threadCount);
  const disks = byDisk(replicas);
  const sharesPerDisk = Math.ceil(threadCount / Math.max(1, disks.length));
  const tasks = disks.flatMap((ofDisk) =>
    splitTasks(
      ofDisk.map((one) => ({ one, runs: one.replica.runs })),
      sharesPerDisk,
    ),
  );
  // All have ended when this does: nothing is under way any more when an error goes on.
  const ended = await Promise.allSettled(
    tasks.map((task) =>
      gate.run(async () => {
        const share = task.map(({ one }) => one);
        const outcomes = await context.workers.run(
          'verify-replicas',
          { replicas: share, stopFlag },
          share.map(({ replica }) => replica.path),
        );
        return share.map((one, index) => ({ one, outcome: outcomes[index] }));
      }),
    ),
  );
  const failure = ended.find((one) => one.status === 'rejected');
  if (failure) throw failure.reason;
  const all = ended.flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
  if (all.some(({ outcome }) => outcome?.kind === 'not-begun')) return null;
  return context.store.transaction(() => note(context, runId, all));
}

interface Judged {
  readonly one: VerifyReplica;
  readonly outcome: VerifyOutcome | undefined;
}

/** Whoever asked for the scrub decides what is done about bad ones, so the agent holds back. */
function note(context: PoolContext, runId: number, all: readonly Judged[]): Verified {
  const { repairs } = context.store;
  const bad: (Candidate & { reason: string })[] = [];
  let goodCount = 0;
  let verifiedBytes = 0;
  for (const { one, outcome } of all) {
    const candidate = { extentId: one.extentId, diskId: one.replica.diskId };
    if (outcome?.kind === 'good') {
      goodCount += 1;
      verifiedBytes += one.sizeBytes;
      repairs.forget(candidate);
    } else if (outcome?.kind === 'bad' && isStillThere(context, one)) {
      const { reason } = outcome;
      const { diskId } = candidate;
      const by = { runId, held: true };
      const found = noteBadReplicas(context, one.extentId, [{ diskId, reason }], by);
      if (found > 0) bad.push({ ...candidate, reason });
    }
  }
  return { goodCount, verifiedBytes, bad };
}

/** Its old place may hold something else by now; whoever moved it verified it. */
function isStillThere(context: PoolContext, { extentId, replica }: VerifyReplica): boolean {
  const now = context.store.extents
    .replicas(extentId)
    .find(({ diskId }) => diskId === replica.diskId);
  return now !== undefined && sameRuns(now.runs, replica.runs);
}

function sameRuns(a: readonly ByteRun[], b: readonly ByteRun[]): boolean {
  return (
    a.length === b.length &&
    a.every((run, i) => run.startBytes === b[i]?.startBytes && run.lengthBytes === b[i].lengthBytes)
  );
}

function byDisk(replicas: readonly VerifyReplica[]): VerifyReplica[][] {
  const disks = new Map<number, VerifyReplica[]>();
  for (const one of replicas) {
    const known = disks.get(one.replica.diskId);
    if (known) known.push(one);
    else disks.set(one.replica.diskId, [one]);
  }
  const start = (one: VerifyReplica) => one.replica.runs[0]?.startBytes ?? 0;
  return [...disks.values()].map((ofDisk) => ofDisk.sort((a, b) => start(a) - start(b)));
}
