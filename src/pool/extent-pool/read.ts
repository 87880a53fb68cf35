/**
 * Reads extents, each verified against its BLAKE3, from whichever replica is good.
 *
 * A rewrite may move an extent while it is read. So a wrong checksum is looked up again before it is
 * called corruption: if the generation moved on, the old place had simply been given away.
 */

import { InvariantError, MaintenanceError } from '../../domain/errors.js';
import { touched } from '../../domain/heat.js';
import type { ReadDestination, ReadExtent, ReadOutcome } from '../../domain/tasks.js';
import type { ExtentRow } from '../../store/extents.js';
import { GivenUpError } from '../worker-pool.js';
import { askingDisks } from './ask-disks.js';
import { BY_A_READ, noteBadReplicas } from './bad-replicas.js';
import type { PoolContext } from './context.js';

const TRIES_MAX = 5;

export interface ReadRequest {
  readonly extent: ExtentRow;
  readonly destination: ReadDestination;
}

/**
 * Reads what is asked for, and returns when every byte of it was verified.
 *
 * @param avoided files of disks that are asked only for what no other disk has.
 * @throws MaintenanceError ERR_CHECKSUM_MISMATCH naming the object when no replica is good,
 *   ERR_TARGET_NOT_FOUND when the object was deleted meanwhile, ERR_DISK_UNAVAILABLE when its disks are
 *   away, GivenUpError when one does not answer: others may have what is asked for, and it must go to
 *   another destination then, since a thread may still bring it to this one.
 */
export async function readVerified(
  context: PoolContext,
  requests: readonly ReadRequest[],
  avoided: ReadonlySet<string> = new Set(),
): Promise<void> {
  let open = [...requests];
  for (let tries = 1; open.length > 0; tries += 1) {
    const outcomes = await readOnce(context, open, avoided);
    if (outcomes.length !== open.length) throw new InvariantError('a read was not answered');
    const again: ReadRequest[] = [];
    for (const [index, outcome] of outcomes.entries()) {
      const request = open[index];
      if (!request) throw new InvariantError('a read answered more than it was asked');
      const current = outcome.badReplicas.length === 0 ? null : lookUp(context, request.extent);
      const moved = current !== null && current.generation !== request.extent.generation;
      if (!moved) noteBad(context, outcome);
      if (outcome.good) continue;
      if (moved && tries < TRIES_MAX) again.push({ ...request, extent: current });
      else throw unreadable(context, request.extent, outcome);
    }
    open = again;
  }
}

/** @throws GivenUpError naming the first object. */
async function readOnce(
  context: PoolContext,
  requests: readonly ReadRequest[],
  avoided: ReadonlySet<string>,
): Promise<ReadOutcome[]> {
  const extents = requests.map((request) => toTask(context, request, avoided));
  const paths = extents.flatMap(({ replicas }) => replicas.map(({ path }) => path));
  const read = context.workers.run('read-extents', { extents }, paths);
  try {
    return await askingDisks(context, paths, read);
  } catch (cause) {
    const [first] = requests;
    if (!(cause instanceof GivenUpError) || !first) throw cause;
    throw cause.naming(nameOf(context, first.extent));
  }
}

/**
 * Counts accesses; a reader that may not write to the pool leaves no trace. Not flushed: heat is no
 * promise, and a flush costs more than the reading of a small object.
 */
export function recordReads(
  context: PoolContext,
  extents: readonly ExtentRow[],
  readBytes: number,
): void {
  if (context.mode === 'read') return;
  const nowMs = context.clock();
  context.store.transactionWithoutFlush(() => {
    for (const { extentId } of extents) {
      const current = context.store.extents.get(extentId);
      if (!current) continue;
      context.store.extents.recordRead(extentId, touched(current.heatScore, nowMs), nowMs);
    }
    context.store.totals.add({ get_bytes: readBytes });
  });
}

function toTask(
  context: PoolContext,
  { extent, destination }: ReadRequest,
  avoided: ReadonlySet<string>,
): ReadExtent {
  const { extentId, sizeBytes, checksum } = extent;
  const readable = context.readableReplicas(extentId);
  if (readable.length === 0) {
    lookUp(context, extent);
    throw unreadable(context, extent, null);
  }
  const others = readable.filter(({ path }) => !avoided.has(path));
  const replicas = others.length > 0 ? others : readable;
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
  const name = nameOf(context, extent);
  const states = context.store.disks.all().map((disk) => ({ disk, ...context.diskState(disk) }));
  const away = states.filter(({ file }) => !file).map(({ disk }) => disk.path);
  const silent = states.find(({ silence }) => silence)?.error;
  return new MaintenanceError(
    outcome ? 'ERR_CHECKSUM_MISMATCH' : 'ERR_DISK_UNAVAILABLE',
    `${name}: extent ${extent.extentIndex} has no good replica${silent ? `; ${silent.message}` : ''}`,
    {
      details: { badReplicas: outcome?.badReplicas ?? [], unavailableDisks: away },
      nextStep:
        silent?.nextStep ??
        (away.length > 0
          ? `Attach ${away.join(', ')} again.`
          : 'Restore the object from a backup; nothing in this pool can repair it.'),
    },
  );
}

function nameOf(context: PoolContext, { objectId }: ExtentRow): string {
  return context.store.objects.byId(objectId)?.name ?? `object ${objectId}`;
}
