/**
 * Proves that every byte of every disk is in exactly one place: header, journal, an extent, or the
 * free-space index. Tests and the demo run it after each crash; `dynamicfs status --audit` does too.
 */

import { totalBytes } from '../../domain/units.js';
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

/** What is not in the free-space index is used: one sum per disk, without a look at every extent. */
export function accountDisks({ store }: PoolContext): DiskAccounting[] {
  return store.disks.all().map((disk) => {
    const space = store.space.totals(disk.diskId);
    const { freeBytes, reservedBytes, pendingRunCount } = space;
    const pendingBytes = space.pendingBytes + space.discardingBytes;
    return {
      diskId: disk.diskId,
      path: disk.path,
      capacityBytes: disk.capacityBytes,
      usedBytes: disk.capacityBytes - freeBytes - pendingBytes - reservedBytes,
      freeBytes,
      pendingBytes,
      pendingRunCount,
      reservedBytes,
    };
  });
}

/** Consistent while others write: it reads in one transaction. */
export function auditPool(context: PoolContext): AuditReport {
  return context.store.snapshot(() => audit(context));
}

function audit(context: PoolContext): AuditReport {
  const disks = accountDisks(context);
  const extentBytes = context.store.fragmentation.usedBytes();
  const problems: string[] = [];
  for (const disk of disks) {
    const journalBytes = totalBytes(context.store.disks.journalSegments(disk.diskId));
    const heldBytes = HEADER_BYTES + journalBytes + (extentBytes.get(disk.diskId) ?? 0);
    if (heldBytes !== disk.usedBytes) {
      problems.push(`${disk.path}: ${heldBytes} bytes are held, ${disk.usedBytes} count as used`);
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
