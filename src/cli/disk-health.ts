/** `disk health`: which disks can be counted on, and what is done about those that cannot. */

import type { DriveFacts } from '../domain/drive-health.js';
import { formatBytes } from '../domain/units.js';
import { discardedBytes } from '../kernel/discard-counters.js';
import { layersOf, trimAbility } from '../pool/extent-pool/drives.js';
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
        ...driveHealth(pool, disk),
      };
    }),
  };
}

const NOTHING_KNOWN: DriveFacts = {
  model: null,
  protocol: null,
  passed: null,
  wearRatio: null,
  writtenBytes: null,
  powerOnHours: null,
  mediaErrors: null,
  temperatureC: null,
};

function driveHealth(
  { context }: ExtentPool,
  disk: DiskRow,
): Pick<Health['disks'][number], 'trim' | 'counted' | 'drives'> {
  const { store } = context;
  const layers = layersOf(disk);
  const space = store.space.totals(disk.diskId);
  const failed = store.discards.failed(disk.diskId);
  return {
    trim: {
      ...trimAbility(layers),
      pendingBytes: space.pendingBytes + space.discardingBytes,
      pendingRanges: space.pendingRunCount,
      failedBytes: failed.bytes,
      failedRanges: failed.runCount,
      // A directory shares its device with all else that lies there.
      kernelDiscardedBytes:
        disk.kind === 'device' && layers.length > 0
          ? layers.reduce((sum, { name }) => sum + discardedBytes(name), 0)
          : null,
    },
    counted: store.counters.ofDisk(disk.diskId),
    drives: store.drives.ofDisk(disk.diskId).map(({ deviceName, readAtMs, report }) => ({
      device: deviceName,
      readAtMs,
      problem: report.kind === 'unknown' ? report.reason : null,
      ...(report.kind === 'read' ? report.facts : NOTHING_KNOWN),
    })),
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
  const drives = disks.flatMap((disk) => [
    trimLine(disk),
    countedLine(disk),
    ...kernelLine(disk),
    ...disk.drives.map(driveLine),
  ]);
  return [tableText([head, ...rows]), ...notes, ...drives].join('\n');
}

function trimLine({ diskId, trim }: Health['disks'][number]): string {
  const { reachesDrive, whyNot, pendingBytes, failedBytes } = trim;
  const ability =
    reachesDrive === true
      ? 'reaches the drive'
      : `${reachesDrive === null ? 'unknown' : 'no'}: ${whyNot}`;
  const failed = failedBytes > 0 ? `, of which ${formatBytes(failedBytes)} failed before` : '';
  return `${shortId(diskId)}: TRIM ${printable(ability)}; pending ${formatBytes(pendingBytes)}${failed}`;
}

function countedLine({ diskId, counted }: Health['disks'][number]): string {
  const { sinceMs, writtenBytes, trimCalls, trimBytes, failedTrimCalls, failedTrimBytes } = counted;
  const failed =
    failedTrimCalls > 0
      ? `, of which ${failedTrimCalls} (${formatBytes(failedTrimBytes)}) failed`
      : '';
  const trims = `${trimCalls} trims issued (${formatBytes(trimBytes)})${failed}`;
  const since = new Date(sinceMs).toISOString();
  return `${shortId(diskId)}: ${formatBytes(writtenBytes)} written by this pool, ${trims}; since ${since}`;
}

function kernelLine({ diskId, trim }: Health['disks'][number]): string[] {
  if (trim.kernelDiscardedBytes === null) return [];
  const bytes = formatBytes(trim.kernelDiscardedBytes);
  return [`${shortId(diskId)}: ${bytes} discarded under the device's name since boot, by anyone`];
}

function driveLine(drive: Health['disks'][number]['drives'][number]): string {
  if (drive.problem !== null) return `  ${drive.device}: ${printable(drive.problem)}`;
  const facts = [
    drive.passed === null ? null : drive.passed ? 'healthy' : 'FAILING',
    drive.wearRatio === null ? null : `${Math.round(drive.wearRatio * 100)}% worn`,
    drive.writtenBytes === null ? null : `${formatBytes(drive.writtenBytes)} written`,
    drive.powerOnHours === null ? null : `${drive.powerOnHours} h`,
    drive.temperatureC === null ? null : `${drive.temperatureC} °C`,
    drive.mediaErrors === null ? null : `${drive.mediaErrors} media errors`,
  ].filter((fact) => fact !== null);
  return `  ${drive.device} ${printable(drive.model ?? '')}: ${facts.join(', ')}`;
}
