/** Brings the extents of a put to their disks: places for them, threads that write them, a flush. */

import { InvariantError } from '../../domain/errors.js';
import type { Tier } from '../../domain/heat.js';
import type { ReplicaLocation, StoredExtent, StoreExtent } from '../../domain/tasks.js';
import { MIB, totalBytes } from '../../domain/units.js';
import { crashPoint } from '../../kernel/crash-point.js';
import type { Replica } from '../../store/extents.js';
import { askingDisks } from './ask-disks.js';
import type { WrittenExtent } from './commit-object.js';
import type { PoolContext } from './context.js';
import { flushDisk } from './flush-disk.js';
import type { ExtentSource } from './put-source.js';
import { reserveSpace } from './reserve-space.js';

const TASK_BYTES = 8 * MIB;
const TASK_EXTENTS = 128;

/** Extents in the order of their content, and where each of them lies. */
export interface Written {
  readonly sources: readonly ExtentSource[];
  readonly replicas: readonly Replica[][];
  readonly stored: readonly StoredExtent[];
}

/**
 * Reserves space and writes; nothing is durable yet.
 *
 * @throws MaintenanceError ERR_NO_SPACE, or what a disk said; all writes have ended then, but for those
 *   on a disk that does not answer.
 */
export async function writeExtents(
  context: PoolContext,
  sources: readonly ExtentSource[],
  where: { readonly owner: string; readonly replicaCount: number; readonly tier: Tier },
): Promise<Written> {
  if (sources.length === 0) return { sources, replicas: [], stored: [] };
  const sizesBytes = sources.map((source) => source.sizeBytes);
  const replicas = reserveSpace(context, { sizesBytes, ...where });
  crashPoint('put-reserved');
  const extents = sources.map((source, index) => ({
    ...source,
    targets: (replicas[index] ?? []).map((replica) => located(context, replica)),
  }));
  // All of them, even after one has failed: whoever still writes must not lose its reservation.
  const tasks = splitTasks(extents);
  const writes = await Promise.allSettled(
    tasks.map((task) => {
      const paths = task.flatMap(({ targets }) => targets.map(({ path }) => path));
      const stored = context.workers.run('store-extents', { extents: task }, paths);
      return askingDisks(context, paths, stored);
    }),
  );
  for (const [index, write] of writes.entries()) {
    if (write.status === 'fulfilled') countWrites(context, tasks[index] ?? [], write.value);
  }
  const results = writes.map((write) => {
    if (write.status === 'rejected') throw write.reason;
    return write.value;
  });
  return { sources, replicas, stored: results.flat() };
}

/** Whether or not the put is committed. */
function countWrites(
  { store }: PoolContext,
  task: readonly StoreExtent[],
  stored: readonly StoredExtent[],
): void {
  for (const [index, { targets }] of task.entries()) {
    if (stored[index]?.kind !== 'stored') continue;
    for (const { diskId, runs } of targets) {
      store.counters.count(diskId, { writtenBytes: totalBytes(runs) });
    }
  }
}

/** A disk may have gone since it was chosen: what is not written must not be committed. */
function located(context: PoolContext, replica: Replica): ReplicaLocation {
  const disk = context.store.disks.get(replica.diskId);
  if (!disk) throw new InvariantError(`a place on an unknown disk ${replica.diskId}`);
  return { ...replica, path: context.writableFile(disk).path };
}

/** Makes durable what was written to these replicas. @throws as `flushDisk`. */
export async function flushReplicas(
  context: PoolContext,
  replicas: readonly Replica[][],
): Promise<void> {
  const diskIds = new Set(replicas.flat().map((replica) => replica.diskId));
  const disks = context.store.disks.all().filter((disk) => diskIds.has(disk.diskId));
  await Promise.all(disks.map((disk) => flushDisk(context, disk)));
  if (disks.length > 0) crashPoint('put-written');
}

/** What is left of them when those whose source failed are taken out. */
export function writtenExtents(
  { sources, replicas, stored }: Written,
  tier: Tier,
): WrittenExtent[] {
  return stored.flatMap((part, index) =>
    part.kind === 'stored'
      ? {
          sizeBytes: sources[index]?.sizeBytes ?? 0,
          checksum: Buffer.from(part.checksum),
          tier,
          replicas: replicas[index] ?? [],
        }
      : [],
  );
}

/** Shares extents out so that no task is much larger than another. */
function splitTasks(extents: readonly StoreExtent[]): StoreExtent[][] {
  const all: StoreExtent[][] = [];
  let task: StoreExtent[] = [];
  let taskBytes = 0;
  for (const extent of extents) {
    task.push(extent);
    taskBytes += extent.sizeBytes;
    if (taskBytes < TASK_BYTES && task.length < TASK_EXTENTS) continue;
    all.push(task);
    task = [];
    taskBytes = 0;
  }
  if (task.length > 0) all.push(task);
  return all;
}
