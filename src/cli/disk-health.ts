/** `disk health`: which disks can be counted on, and what is done about those that cannot. */

import { formatBytes } from '../domain/units.js';
import type { ExtentPool } from '../pool/extent-pool/extent-pool.js';
import type { DiskRow } from '../store/disks.js';
import { printable } from './printable.js';
import type { Output } from './schemas.js';
import { shortId, tableText } from './text.js';

type Health = Output<'disk health'>;

export function diskHealth(pool: ExtentPool): Health {
  const { store } = pool.context;
  const isAllWell = store.health.isAllWell();
  const bad = store.repairs.all();
  const held = new Map(store.fragmentation.disks().map((sums) => [sums.diskId, sums]));
  return {
    schemaVersion: 1,
    disks: store.disks.all().map((disk) => {
      const { diskId, uuid, path } = disk;
      const { state, reason, sinceMs, errorCount } = store.health.get(diskId);
      return {
        diskId: uuid,
        path,
        condition: pool.context.diskState(disk).condition,
        state,
        reason,
        sinceMs: sinceMs || null,
        errors: errorCount,
        replicas: held.get(diskId)?.replicaCount ?? 0,
        badReplicas: bad.filter((one) => one.diskId === diskId).length,
        // Counting them looks at every extent: only where there is a reason to.
        shortExtents: isAllWell ? 0 : store.health.shortCount(diskId),
        underWay: underWay(pool, disk),
      };
    }),
  };
}

function underWay(pool: ExtentPool, { diskId, evacuating }: DiskRow): string | null {
  const { store } = pool.context;
  const { state } = store.health.get(diskId);
  const scrub = store.runs.open('scrub');
  const repair = store.runs.open('repair');
  if (state === 'returning' && scrub?.diskId === diskId) {
    const { processedCount, plannedCount } = scrub.progress;
    return `verifying its copies: ${processedCount} of ${plannedCount}`;
  }
  if (state === 'degraded' && repair) {
    const { doneCount, doneBytes } = repair.progress;
    return `copying to other disks: ${doneCount} done (${formatBytes(doneBytes)})`;
  }
  return evacuating ? 'being emptied' : null;
}

export function diskHealthText({ disks }: Health): string {
  if (disks.length === 0) return 'No disks.';
  const head = ['DISK', 'HEALTH', 'STATE', 'ERRORS', 'REPLICAS', 'BAD', 'SHORT', 'PATH'];
  const rows = disks.map((disk) => [
    shortId(disk.diskId),
    disk.state,
    disk.condition,
    String(disk.errors),
    String(disk.replicas),
    String(disk.badReplicas),
    String(disk.shortExtents),
    printable(disk.path),
  ]);
  const notes = disks.flatMap((disk) => [
    ...(disk.reason === null ? [] : [`${shortId(disk.diskId)}: ${printable(disk.reason)}`]),
    ...(disk.underWay === null ? [] : [`${shortId(disk.diskId)}: ${disk.underWay}`]),
  ]);
  return [tableText([head, ...rows]), ...notes].join('\n');
}
