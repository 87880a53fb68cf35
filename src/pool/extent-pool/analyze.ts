/** Measures fragmentation of a pool; see src/domain/fragmentation.ts for the formulas. */

import {
  type DiskFragmentation,
  type FragmentationAnalysis,
  ratio,
  recommend,
} from '../../domain/fragmentation.js';
import type { PoolContext } from './context.js';

/** One pass over each table inside SQLite: memory stays the same for a million extents. */
export function analyzePool(context: PoolContext): FragmentationAnalysis {
  const { store } = context;
  const tiers = store.fragmentation.tiers().map((sums) => ({
    tier: sums.tier,
    extentCount: sums.extentCount,
    fragmentedExtentCount: sums.fragmentedCount,
    fragmentationRatio: ratio(sums.fragmentedCount, sums.extentCount),
  }));
  const extentCount = tiers.reduce((sum, tier) => sum + tier.extentCount, 0);
  const fragmentedExtentCount = tiers.reduce((sum, tier) => sum + tier.fragmentedExtentCount, 0);
  const fragmentationRatio = ratio(fragmentedExtentCount, extentCount);
  const disks = analyzeDisks(context);
  return {
    analyzedAtMs: context.clock(),
    extentCount,
    fragmentedExtentCount,
    fragmentationRatio,
    recommendation: recommend(fragmentationRatio),
    reclaimableBytes: disks.reduce((sum, disk) => sum + disk.reclaimableBytes, 0),
    disks,
    tiers,
  };
}

function analyzeDisks({ store }: PoolContext): DiskFragmentation[] {
  const replicas = new Map(store.fragmentation.disks().map((sums) => [sums.diskId, sums]));
  return store.disks.all().map((disk) => {
    const sums = replicas.get(disk.diskId);
    const extentCount = sums?.replicaCount ?? 0;
    const space = store.space.totals(disk.diskId);
    return {
      diskId: disk.uuid,
      path: disk.path,
      extentCount,
      fragmentedExtentCount: sums?.fragmentedCount ?? 0,
      fragmentationRatio: ratio(sums?.fragmentedCount ?? 0, extentCount),
      averageFragmentsPerExtent: ratio(sums?.fragmentCount ?? 0, extentCount),
      sequentialRatio: sums ? ratio(sums.contiguousBytes, sums.bytes) : 1,
      freeBytes: space.freeBytes + space.pendingBytes,
      largestFreeRunBytes: store.space.largest(disk.diskId)?.lengthBytes ?? 0,
      freeRuns: store.fragmentation.freeRuns(disk.diskId),
      reclaimableBytes: space.pendingBytes,
    };
  });
}
