/** `extent list`: extents with their places and heat. */

import { heatAt, heatTier, type Tier } from '../domain/heat.js';
import type { ExtentPool } from '../pool/extent-pool/extent-pool.js';
import type { ExtentRow } from '../store/extents.js';
import type { Output } from './schemas.js';

export interface ExtentFilter {
  readonly object: string | null;
  readonly tier: Tier | null;
  readonly fragmented: boolean;
  readonly limit: number;
}

type ExtentView = Output<'extent list'>['extents'][number];

const PAGE_EXTENTS = 1_000;

/** @returns up to `filter.limit` extents, and whether there are more. */
export function listExtents(
  pool: ExtentPool,
  filter: ExtentFilter,
): { extents: ExtentView[]; truncated: boolean } {
  const extents: ExtentView[] = [];
  for (const extent of candidates(pool, filter.object)) {
    if (filter.tier !== null && extent.tier !== filter.tier) continue;
    if (filter.fragmented && extent.fragmentCount <= 1) continue;
    if (extents.length >= filter.limit) return { extents, truncated: true };
    extents.push(extentView(pool, extent));
  }
  return { extents, truncated: false };
}

function* candidates(pool: ExtentPool, object: string | null): Generator<ExtentRow> {
  if (object !== null) {
    yield* pool.extents(object);
    return;
  }
  for (let afterId = 0; ; ) {
    const page = pool.context.store.extents.page(afterId, PAGE_EXTENTS);
    yield* page;
    const last = page.at(-1);
    if (!last) return;
    afterId = last.extentId;
  }
}

function extentView(pool: ExtentPool, extent: ExtentRow): ExtentView {
  const { store, clock } = pool.context;
  const { extentId, extentIndex, sizeBytes, generation, tier, heatScore, fragmentCount } = extent;
  const { readCount, writeCount, lastAccessAtMs } = extent;
  return {
    extentId,
    object: store.objects.byId(extent.objectId)?.name ?? '',
    extentIndex,
    sizeBytes,
    checksum: extent.checksum.toString('hex'),
    generation,
    tier,
    heatTier: heatTier(heatScore, clock()),
    heat: heatAt(heatScore, clock()),
    readCount,
    writeCount,
    lastAccessAtMs,
    fragmentCount,
    replicas: store.extents.replicas(extentId).map(({ diskId, runs }) => ({
      diskPath: store.disks.get(diskId)?.path ?? '',
      runs: [...runs],
    })),
  };
}
