/**
 * What is noted of replicas that could not be read or had a wrong checksum.
 *
 * A replica on a disk that is away is missing, not bad: it may be perfectly good once the disk is
 * back, so nothing is noted of it.
 */

import { type FindingKind, WRONG_CHECKSUM } from '../../domain/repairs.js';
import type { BadReplica } from '../../domain/tasks.js';
import type { Candidate } from '../../store/rewrite-candidates.js';
import type { PoolContext } from './context.js';

/** Who found it. */
export interface FoundBy {
  readonly runId: number | null;
  /** Leave it as it is until somebody reads it: a scrub that only reports. */
  readonly held: boolean;
}

export const BY_A_READ: FoundBy = { runId: null, held: false };

/** Safe while: in a transaction. @returns how many of them are bad, and not merely away. */
export function noteBadReplicas(
  context: PoolContext,
  extentId: number,
  badReplicas: readonly BadReplica[],
  { runId, held }: FoundBy,
): number {
  const { store } = context;
  let badCount = 0;
  for (const { diskId, reason } of badReplicas) {
    const bad = { extentId, diskId };
    if (reason !== WRONG_CHECKSUM) {
      if (!context.isThere(diskId)) continue;
      store.health.countError(diskId);
    }
    const noted = store.repairs.recordBad({ ...bad, reason, held, atMs: context.clock() });
    if (noted !== 'gone') badCount += 1;
    if (noted === 'new') recordFinding(context, bad, { runId, what: 'bad', reason });
  }
  if (badCount > 0) store.totals.add({ bad_replicas_seen: badCount });
  return badCount;
}

/** Adds a line to the record, by the name of the object; nothing for what was deleted meanwhile. */
export function recordFinding(
  context: PoolContext,
  { extentId, diskId }: Candidate,
  { runId, what, reason }: { runId: number | null; what: FindingKind; reason: string },
): void {
  const { store } = context;
  const extent = store.extents.get(extentId);
  if (!extent) return;
  store.repairs.addFinding({
    runId,
    what,
    objectName: store.objects.byId(extent.objectId)?.name ?? `object ${extent.objectId}`,
    extentIndex: extent.extentIndex,
    extentId,
    diskPath: store.disks.get(diskId)?.path ?? `disk ${diskId}`,
    reason,
    atMs: context.clock(),
  });
}
