/**
 * Proves that every byte of every disk is in exactly one place: header, journal, an extent, or the
 * free-space index. Tests and the demo run it after each crash; `dynamicfs status --audit` does too.
 */

import type { PoolContext } from './context.js';
import { HEADER_BYTES } from './layout.js';

export interface DiskAccounting {
  readonly diskId: number;
  readonly path: string;
  readonly capacityBytes: number;
  /** Header, journal and extents. */
  readonly usedBytes: number;
  readonly freeBytes: number;
  readonly pendingBytes: number;
  readonly pendingRunCount: number;
  readonly reservedBytes: number;
}

export interface AuditReport {
  readonly disks: readonly DiskAccounting[];
  /** What is wrong, in words; empty for a sound pool. */
  readonly problems: readonly string[];
}

export function accountDisks(context: PoolContext): DiskAccounting[] {
  const { store } = context;
  const extentBytes = store.fragmentation.usedBytes();
  return store.disks.all().map((disk) => {
    const space = store.space.totals(disk.diskId);
    const journalBytes = store.disks
      .journalSegments(disk.diskId)
      .reduce((sum, segment) => sum + segment.lengthBytes, 0);
    return {
      diskId: disk.diskId,
      path: disk.path,
      capacityBytes: disk.capacityBytes,
      usedBytes: HEADER_BYTES + journalBytes + (extentBytes.get(disk.diskId) ?? 0),
      freeBytes: space.freeBytes,
      pendingBytes: space.pendingBytes + space.discardingBytes,
      pendingRunCount: space.pendingRunCount,
      reservedBytes: space.reservedBytes,
    };
  });
}

/** Consistent while others write: it reads in one transaction. */
export function auditPool(context: PoolContext): AuditReport {
  return context.store.snapshot(() => audit(context));
}

function audit(context: PoolContext): AuditReport {
  const disks = accountDisks(context);
  const problems: string[] = [];
  for (const disk of disks) {
    const sumBytes = disk.usedBytes + disk.freeBytes + disk.pendingBytes + disk.reservedBytes;
    if (sumBytes !== disk.capacityBytes) {
      problems.push(`${disk.path}: ${sumBytes} bytes accounted for of ${disk.capacityBytes}`);
    }
    problems.push(...overlaps(context, disk));
  }
  problems.push(...replicaProblems(context));
  return { disks, problems };
}

function overlaps(context: PoolContext, disk: DiskAccounting): string[] {
  const runs = [...context.store.fragmentation.mapRuns(disk.diskId)].sort(
    (a, b) => a.startBytes - b.startBytes,
  );
  const problems: string[] = [];
  let endBytes = HEADER_BYTES;
  for (const run of runs) {
    if (run.startBytes !== endBytes) {
      const what = run.startBytes < endBytes ? 'claimed twice' : 'in no table';
      problems.push(
        `${disk.path}: bytes ${Math.min(run.startBytes, endBytes)} to ${Math.max(run.startBytes, endBytes)} are ${what}`,
      );
    }
    endBytes = Math.max(endBytes, run.startBytes + run.lengthBytes);
  }
  if (endBytes !== disk.capacityBytes)
    problems.push(`${disk.path}: the end of the disk is in no table`);
  return problems;
}

/** Every extent has as many whole replicas as it wants. */
function replicaProblems({ store }: PoolContext): string[] {
  const problems: string[] = [];
  for (const short of store.extents.shortOfReplicas()) {
    problems.push(`extent ${short.extentId} has ${short.found} whole replicas of ${short.wanted}`);
  }
  return problems;
}
