/** Finds and reserves places for the replicas of new extents. */

import { MaintenanceError } from '../../domain/errors.js';
import type { Tier } from '../../domain/heat.js';
import { chooseDisks, type PlacementDisk } from '../../domain/placement.js';
import { type ByteRun, formatBytes } from '../../domain/units.js';
import type { Replica } from '../../store/extents.js';
import type { PoolContext } from './context.js';
import { allocatedBytes } from './layout.js';
import { hasStaleJournal, repairJournals } from './snapshot.js';

export interface SpaceRequest {
  readonly sizesBytes: readonly number[];
  readonly owner: string;
  readonly replicaCount: number;
  readonly tier: Tier;
}

/**
 * Reserves space for every extent, or for none.
 *
 * Extents of one request lie one behind the other where a free run holds them all, so that small
 * objects are written and read in long sweeps. A power cut may take a reservation back: what was
 * written under it belongs to nobody until the flushed commit that makes it an object's.
 *
 * @returns the replicas of each extent, in the order of the request.
 * @throws MaintenanceError ERR_NO_SPACE when there are too few disks with room.
 */
export function reserveSpace(context: PoolContext, request: SpaceRequest): Replica[][] {
  if (hasStaleJournal(context)) repairJournals(context);
  return context.store.transactionWithoutFlush(() => {
    const disks = placementDisks(context);
    const totalBytes = request.sizesBytes.reduce((sum, size) => sum + allocatedBytes(size), 0);
    const diskIds = chooseDisks(disks, totalBytes, request.replicaCount, request.tier);
    if (diskIds.length === request.replicaCount) {
      const sweeps = reserveSweeps(context, diskIds, totalBytes, request.owner);
      if (sweeps) return carve(sweeps, request.sizesBytes);
    }
    return request.sizesBytes.map((sizeBytes) => placeExtent(context, disks, sizeBytes, request));
  });
}

/**
 * Disks with what they can take now; healthy means online, writable, fit, not being emptied, and with a
 * journal that is up to date: a newer one may lie in what is free of it (`rewriteJournal`).
 */
export function placementDisks(context: PoolContext): PlacementDisk[] {
  const unfit = context.store.health.unfit();
  return context.store.disks.all().map((disk) => ({
    diskId: disk.diskId,
    tier: disk.tier,
    healthy:
      !disk.evacuating &&
      !disk.journalStale &&
      !unfit.has(disk.diskId) &&
      context.diskState(disk).condition === 'online',
    usableBytes: context.allocator.usableBytes(disk),
  }));
}

interface Sweep {
  readonly diskId: number;
  readonly run: ByteRun;
}

/** One contiguous run on every disk, or none on any. */
function reserveSweeps(
  context: PoolContext,
  diskIds: readonly number[],
  lengthBytes: number,
  owner: string,
): Sweep[] | null {
  const { space } = context.store;
  const fits = diskIds.flatMap((diskId) => space.bestFit(diskId, lengthBytes) ?? []);
  if (fits.length < diskIds.length) return null;
  return fits.map((fit) => ({
    diskId: fit.diskId,
    run: space.reserve(fit, lengthBytes, owner),
  }));
}

function carve(sweeps: readonly Sweep[], sizesBytes: readonly number[]): Replica[][] {
  let offsetBytes = 0;
  return sizesBytes.map((sizeBytes) => {
    const lengthBytes = allocatedBytes(sizeBytes);
    const replicas = sweeps.map(({ diskId, run }) => ({
      diskId,
      runs: [{ startBytes: run.startBytes + offsetBytes, lengthBytes }],
    }));
    offsetBytes += lengthBytes;
    return replicas;
  });
}

/** Places one extent alone; `disks` is updated with what it took. */
function placeExtent(
  context: PoolContext,
  disks: PlacementDisk[],
  sizeBytes: number,
  request: SpaceRequest,
): Replica[] {
  const lengthBytes = allocatedBytes(sizeBytes);
  const replicas: Replica[] = [];
  const tried = new Set<number>();
  while (replicas.length < request.replicaCount) {
    const [diskId] = chooseDisks(disks, lengthBytes, 1, request.tier, tried);
    if (diskId === undefined) throw noSpace(context, disks, lengthBytes, request.replicaCount);
    tried.add(diskId);
    const runs = context.allocator.reserve(diskId, lengthBytes, request.owner);
    if (!runs) continue;
    replicas.push({ diskId, runs });
    const index = disks.findIndex((disk) => disk.diskId === diskId);
    const disk = disks[index];
    if (disk) disks[index] = { ...disk, usableBytes: disk.usableBytes - lengthBytes };
  }
  return replicas;
}

function noSpace(
  context: PoolContext,
  disks: readonly PlacementDisk[],
  lengthBytes: number,
  replicaCount: number,
): MaintenanceError {
  const healthy = disks.filter((disk) => disk.healthy);
  if (healthy.length < replicaCount) {
    return new MaintenanceError(
      'ERR_NO_SPACE',
      `${replicaCount} replicas need as many disks; ${healthy.length} of ${disks.length} can be written`,
      { nextStep: `Add a disk: \`dynamicfs disk add --pool ${context.path} --disk DIRECTORY\`.` },
    );
  }
  const usableBytes = healthy.reduce((sum, disk) => sum + disk.usableBytes, 0);
  return new MaintenanceError(
    'ERR_NO_SPACE',
    `no room for ${formatBytes(lengthBytes)} on ${replicaCount} disk(s); ` +
      `${formatBytes(usableBytes)} usable beside the reserve`,
    { nextStep: 'Delete objects or add a disk.', details: { lengthBytes, usableBytes } },
  );
}
