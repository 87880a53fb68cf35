/** What commands print for people. The spec's commands keep the spec's lines, in its order. */

import { formatBytes } from '../domain/units.js';
import { governorLines } from './governor-view.js';
import { pauseLines } from './pause-view.js';
import { counted, printable } from './printable.js';
import type { DiskView, Output, RunView } from './schemas.js';
import { deviceLines, windowLines } from './trim-text.js';

type TrimNowView = Extract<Output<'trim now'>, { dryRun: false }>;

export function bytesText(bytes: number): string {
  return `${bytes} (${formatBytes(bytes)})`;
}

export function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(2)}%`;
}

/** `3600000` → `1h 0m`; the two largest units. */
export function durationText(ms: number): string {
  const seconds = Math.round(ms / 1000);
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  const shown = parts.slice(first < 0 ? 3 : first).slice(0, 2);
  return shown.map(([value, unit]) => `${value}${unit}`).join(' ');
}

export function capitalised(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

/** The first characters of an id are enough to name it. */
export function shortId(uuid: string): string {
  return uuid.slice(0, 6);
}

export function analysisText(
  analysis: Extract<Output<'defrag analyze'>, { kind: 'extent' }>,
): string {
  const lines = [
    'Fragmentation Analysis:',
    `  Total extents: ${analysis.extentCount}`,
    `  Fragmented extents: ${analysis.fragmentedExtentCount}`,
    `  Fragmentation ratio: ${percent(analysis.fragmentationRatio)}`,
    `  Recommendation: ${analysis.recommendation}`,
    `  Reclaimable by trim: ${bytesText(analysis.reclaimableBytes)}`,
    '',
    'Per-Disk Statistics:',
  ];
  for (const disk of analysis.disks) {
    lines.push(
      `  Disk ${shortId(disk.diskId)}:`,
      `    Total extents: ${disk.extentCount}`,
      `    Fragmented: ${disk.fragmentedExtentCount}`,
      `    Ratio: ${percent(disk.fragmentationRatio)}`,
      `    Average fragments per extent: ${disk.averageFragmentsPerExtent.toFixed(2)}`,
      `    Sequential ratio: ${percent(disk.sequentialRatio)}`,
      `    Free: ${formatBytes(disk.freeBytes)}, largest run ${formatBytes(disk.largestFreeRunBytes)}`,
      `    Path: ${printable(disk.path)}`,
    );
  }
  if (analysis.tiers.length > 0) lines.push('', 'Per-Tier Statistics:');
  for (const tier of analysis.tiers) {
    const { fragmentedExtentCount, extentCount, fragmentationRatio } = tier;
    lines.push(
      `  ${capitalised(tier.tier)}: ${fragmentedExtentCount} of ${extentCount} fragmented (${percent(fragmentationRatio)})`,
    );
  }
  return lines.join('\n');
}

export function defragStatusText(status: Output<'defrag status'>): string {
  const lines = [
    'Defragmentation Status:',
    `  Running: ${status.running}`,
    `  Paused: ${status.paused}`,
    `  Intensity: ${capitalised(status.intensity)}`,
    `  Extents processed: ${status.extentsProcessed}`,
    `  Extents defragmented: ${status.extentsDefragmented}`,
    `  Bytes moved: ${bytesText(status.bytesMoved)}`,
    `  Errors: ${status.errors}`,
    `  Enabled: ${status.enabled}`,
    `  Threads: ${status.threads}`,
  ];
  if (status.estimatedRemainingMs !== null) {
    lines.push(`  Estimated remaining: ${durationText(status.estimatedRemainingMs)}`);
  }
  lines.push(...pauseLines(status.run?.pause ?? null), ...governorLines(status.governor));
  if (status.run && !status.running) {
    lines.push(`  Last run: ${status.run.state}, ${durationText(runMs(status.run))}`);
  }
  if (status.run) lines.push(...exclusionLines(status.run));
  if (status.run?.error) lines.push(`  Error: ${printable(status.run.error.message)}`);
  if (status.evacuation) {
    const { doneCount, plannedCount } = status.evacuation;
    lines.push(`  Evacuating a disk: ${doneCount} of ${plannedCount} extents`);
  }
  return lines.join('\n');
}

/** What a run left as it was, or not as it should be, and why. */
export function exclusionLines({ exclusions }: RunView): string[] {
  return exclusions.map(
    ({ outcome, reason, count }) => `  ${capitalised(outcome)}: ${count} (${printable(reason)})`,
  );
}

function runMs(run: RunView): number {
  return (run.endedAtMs ?? run.startedAtMs) - run.startedAtMs;
}

/** Only reading the free space of a mount tells. */
const UNKNOWN_PENDING = 'see `trim now --dry-run`';

export function trimStatusText(status: Output<'trim status'>, nowMs: number): string {
  const last =
    status.lastTrimAtMs === null
      ? 'never'
      : `${Math.max(0, Math.round((nowMs - status.lastTrimAtMs) / 1000))} seconds ago`;
  const lines = [
    'TRIM Status:',
    `  Total operations: ${status.operations}`,
    `  Total bytes trimmed: ${bytesText(status.confirmedBytes)}`,
    `  Total ranges trimmed: ${status.ranges}`,
    `  Failed operations: ${status.failures}`,
    `  Pending bytes: ${status.pendingBytes ?? UNKNOWN_PENDING}`,
    `  Pending ranges: ${status.pendingRanges ?? UNKNOWN_PENDING}`,
    `  Last TRIM: ${last}`,
    `  Bytes reclaimed: ${bytesText(status.reclaimedBytes)}`,
    `  Automatic: ${status.enabled ? status.intensity : 'off'}, batches of ${formatBytes(status.batchBytes)}${status.secureErase ? ', secure erase' : ''}`,
  ];
  if (status.unsupported > 0) lines.push(`  Unsupported: ${status.unsupported} ranges`);
  lines.push(...pauseLines(status.run?.pause ?? null), ...governorLines(status.governor));
  lines.push(...deviceLines(status.devices ?? []));
  if (status.run?.error) lines.push(`  Last run failed: ${printable(status.run.error.message)}`);
  return lines.join('\n');
}

export function trimNowText({ run, devices }: TrimNowView): string {
  const lines = [
    run.state === 'completed' ? 'TRIM completed' : `TRIM ${run.state}`,
    `  Bytes reclaimed: ${bytesText(run.reclaimedBytes)}`,
    `  Bytes discarded: ${bytesText(run.doneBytes)}, confirmed ${bytesText(run.confirmedBytes)}`,
  ];
  if (devices) return [...lines, ...windowLines(run), ...deviceLines(devices)].join('\n');
  if (run.failedCount > 0) lines.push(`  Failed ranges: ${run.failedCount}, kept pending`);
  if (run.unsupportedCount > 0) lines.push(`  Unsupported ranges: ${run.unsupportedCount}`);
  if (run.skippedCount > 0) lines.push(`  Disks away: ${run.skippedCount}, kept pending`);
  return lines.join('\n');
}

export function forecastText({ disks }: Extract<Output<'trim now'>, { dryRun: true }>): string {
  const requested = disks.reduce((sum, disk) => sum + disk.requestedBytes, 0);
  const lines = [`TRIM would discard ${bytesText(requested)}; nothing was changed`];
  for (const disk of disks) {
    const held = disk.reclaimableBytes === null ? 'unknown' : formatBytes(disk.reclaimableBytes);
    lines.push(
      `  Disk ${shortId(disk.diskId)}: ${counted(disk.rangeCount, 'range')}, ${formatBytes(disk.requestedBytes)}, reclaimable ${held} (${printable(disk.path)})`,
    );
  }
  return lines.join('\n');
}

export function disksText(disks: readonly DiskView[]): string {
  if (disks.length === 0) return 'No disks.';
  const rows = disks.map((disk) => [
    shortId(disk.diskId),
    disk.evacuating ? 'evacuating' : disk.condition,
    disk.tier,
    formatBytes(disk.capacityBytes),
    formatBytes(disk.usedBytes),
    formatBytes(disk.freeBytes),
    formatBytes(disk.pendingBytes),
    printable(disk.path),
  ]);
  const table = tableText([
    ['DISK', 'STATE', 'TIER', 'CAPACITY', 'USED', 'FREE', 'PENDING', 'PATH'],
    ...rows,
  ]);
  const problems = disks.flatMap((disk) =>
    disk.problem ? [`Problem: ${printable(disk.problem)}`] : [],
  );
  return [table, ...problems].join('\n');
}

export function statusText(status: Extract<Output<'status'>, { kind: 'extent' }>): string {
  const { objectCount, fileCount, contentBytes } = status;
  const lines = [
    `Pool ${printable(status.path)}`,
    `  Id: ${status.poolId}`,
    `  Content: ${bytesText(contentBytes)} in ${counted(fileCount, 'file')} (${counted(objectCount, 'object')})`,
    `  Replicas: ${status.replicaCount}, extents of ${formatBytes(status.extentBytes)}`,
    ...status.openRuns.map(
      (run) =>
        `  ${capitalised(run.kind)}: ${run.state}, ${run.processedCount} of ${run.plannedCount}`,
    ),
    ...governorLines(status.governor),
    '',
    disksText(status.disks),
  ];
  if (status.auditProblems) {
    const { length } = status.auditProblems;
    lines.push(
      '',
      length === 0
        ? 'Audit: every byte is in exactly one place'
        : `Audit: ${counted(length, 'problem')}`,
    );
    lines.push(...status.auditProblems.map((problem) => `  ${printable(problem)}`));
  }
  return lines.join('\n');
}

/** Columns as wide as their widest cell. */
export function tableText(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [index, cell] of row.entries()) {
      widths[index] = Math.max(widths[index] ?? 0, cell.length);
    }
  }
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
