/**
 * Reads extents, each verified against its BLAKE3, from whichever replica is good.
 *
 * A rewrite may move an extent while it is read. So a wrong checksum is looked up again before it is
 * called corruption: if the generation moved on, the old place had simply been given away.
 */

import { InvariantError, MaintenanceError } from '../../domain/errors.js';
import { touched } from '../../domain/heat.js';
import type { ReadExtent, ReadOutcome } from '../../domain/tasks.js';
import type { ExtentRow } from '../../store/extents.js';
import { BY_A_READ, noteBadReplicas } from './bad-replicas.js';
import type { PoolContext } from './context.js';

const TRIES_MAX = 5;

export interface ReadRequest {
  readonly extent: ExtentRow;
  readonly destination: ReadExtent['destination'];
}

/**
 * @returns one outcome per request, in order; every one is good.
 * @throws MaintenanceError ERR_CHECKSUM_MISMATCH naming the object when no replica is good,
 *   ERR_TARGET_NOT_FOUND when the object was deleted meanwhile.
 */
export async function readVerified(
  context: PoolContext,
  requests: readonly ReadRequest[],
): Promise<ReadOutcome[]> {
  const results = new Map<number, ReadOutcome>();
  let open = [...requests];
  for (let tries = 1; open.length > 0; tries += 1) {
    const extents = open.map((request) => toTask(context, request));
    const outcomes = await context.workers.run('read-extents', { extents });
    const again: ReadRequest[] = [];
    for (const [index, outcome] of outcomes.entries()) {
      const request = open[index];
      if (!request) throw new InvariantError('a read answered more than it was asked');
      const current = outcome.badReplicas.length === 0 ? null : lookUp(context, request.extent);
      const moved = current !== null && current.generation !== request.extent.generation;
      if (!moved) noteBad(context, outcome);
      if (outcome.good) results.set(outcome.extentId, outcome);
      else if (moved && tries < TRIES_MAX) again.push({ ...request, extent: current });
      else throw unreadable(context, request.extent, outcome);
    }
    open = again;
  }
  return requests.map(({ extent }) => {
    const outcome = results.get(extent.extentId);
    if (!outcome) throw new InvariantError(`extent ${extent.extentId} was not answered`);
    return outcome;
  });
}

/** Counts accesses; a reader that may not write to the pool leaves no trace. */
export function recordReads(
  context: PoolContext,
  extents: readonly ExtentRow[],
  readBytes: number,
): void {
  if (context.mode === 'read') return;
  const nowMs = context.clock();
  context.store.transaction(() => {
    for (const { extentId } of extents) {
      const current = context.store.extents.get(extentId);
      if (!current) continue;
      context.store.extents.recordRead(extentId, touched(current.heatScore, nowMs), nowMs);
    }
    context.store.totals.add({ get_bytes: readBytes });
  });
}

function toTask(context: PoolContext, { extent, destination }: ReadRequest): ReadExtent {
  const { extentId, sizeBytes, checksum } = extent;
  const replicas = context.readableReplicas(extentId);
  if (replicas.length === 0) {
    lookUp(context, extent);
    throw unreadable(context, extent, null);
  }
  return { extentId, sizeBytes, checksum, replicas, destination };
}

function lookUp(context: PoolContext, extent: ExtentRow): ExtentRow {
  const current = context.store.extents.get(extent.extentId);
  if (current) return current;
  throw new MaintenanceError('ERR_TARGET_NOT_FOUND', 'the object was deleted while it was read', {
    nextStep: 'Nothing is wrong with the pool.',
  });
}

/** The agent repairs within moments what is noted here. */
function noteBad(context: PoolContext, { extentId, badReplicas }: ReadOutcome): void {
  if (context.mode === 'read' || badReplicas.length === 0) return;
  context.store.transaction(() => noteBadReplicas(context, extentId, badReplicas, BY_A_READ));
}

function unreadable(
  context: PoolContext,
  extent: ExtentRow,
  outcome: ReadOutcome | null,
): MaintenanceError {
  const name = context.store.objects.byId(extent.objectId)?.name ?? `object ${extent.objectId}`;
  const away = context.store.disks
    .all()
    .filter((disk) => !context.diskState(disk).file)
    .map((disk) => disk.path);
  return new MaintenanceError(
    outcome ? 'ERR_CHECKSUM_MISMATCH' : 'ERR_DISK_UNAVAILABLE',
    `${name}: extent ${extent.extentIndex} has no good replica`,
    {
      details: { badReplicas: outcome?.badReplicas ?? [], unavailableDisks: away },
      nextStep:
        away.length > 0
          ? `Attach ${away.join(', ')} again.`
          : 'Restore the object from a backup; nothing in this pool can repair it.',
    },
  );
}
