/** At each tick a pool's figures go into the hour and day that it is. */

import { statfsSync } from 'node:fs';
import { ratio } from '../domain/fragmentation.js';
import type { TrendFigures } from '../domain/trends.js';
import { accountDisks } from '../pool/extent-pool/audit.js';
import { PoolContext } from '../pool/extent-pool/context.js';
import type { FsPoolContext } from '../pool/fs-pool/context.js';

/** A power cut may take back what is recorded here; what is counted with the totals it may not. */
export function recordTrend(context: PoolContext | FsPoolContext): void {
  const figures = trendFigures(context);
  if (!figures) return;
  const { store, clock } = context;
  store.transactionWithoutFlush(() => store.trends.record(figures, clock()));
}

/** How a pool stands now. @returns null for a mount that is not mounted. */
function trendFigures(context: PoolContext | FsPoolContext): TrendFigures | null {
  return context instanceof PoolContext ? ofExtentPool(context) : ofMount(context);
}

function ofExtentPool(context: PoolContext): TrendFigures {
  const { extentCount, fragmentedCount } = context.store.fragmentation.counts();
  const disks = accountDisks(context);
  const sum = (pick: (disk: (typeof disks)[number]) => number) =>
    disks.reduce((total, disk) => total + pick(disk), 0);
  return {
    capacityBytes: sum((disk) => disk.capacityBytes),
    usedBytes: sum((disk) => disk.usedBytes),
    freeBytes: sum((disk) => disk.freeBytes),
    pendingBytes: sum((disk) => disk.pendingBytes),
    fragmentationRatio: ratio(fragmentedCount, extentCount),
    analyzedAtMs: context.clock(),
  };
}

/** The last analysis with its time: a new one would read the metadata of all files. */
function ofMount(context: FsPoolContext): TrendFigures | null {
  const mount = context.findMount();
  if (!mount) return null;
  const { blocks, bfree, bsize } = statfsSync(mount.path);
  const { lastAnalysis } = context.settings();
  return {
    capacityBytes: blocks * bsize,
    usedBytes: (blocks - bfree) * bsize,
    freeBytes: bfree * bsize,
    pendingBytes: 0,
    fragmentationRatio: lastAnalysis?.fragmentationRatio ?? null,
    analyzedAtMs: lastAnalysis?.analyzedAtMs ?? null,
  };
}
