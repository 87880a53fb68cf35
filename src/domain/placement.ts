/** Which disks take the replicas of an extent. Pure. */

import type { Tier } from './heat.js';

export interface PlacementDisk {
  readonly diskId: number;
  readonly tier: Tier;
  /** Online, writable, not being evacuated. */
  readonly healthy: boolean;
  /** Free and pending bytes above the disk's reserve. */
  readonly usableBytes: number;
}

/**
 * Healthy disks only, the wanted tier first, then the most free.
 *
 * @param excluded disks that already hold a replica of the extent.
 * @returns up to `replicaCount` disks; fewer when there are not enough that fit.
 */
export function chooseDisks(
  disks: readonly PlacementDisk[],
  neededBytes: number,
  replicaCount: number,
  tier: Tier,
  excluded: ReadonlySet<number> = new Set(),
): number[] {
  return disks
    .filter((d) => d.healthy && d.usableBytes >= neededBytes && !excluded.has(d.diskId))
    .sort(
      (a, b) =>
        Number(b.tier === tier) - Number(a.tier === tier) ||
        b.usableBytes - a.usableBytes ||
        a.diskId - b.diskId,
    )
    .slice(0, replicaCount)
    .map((d) => d.diskId);
}
