/** What commands print of mounted file systems. The spec's lines come first, in its order. */

import { countClassMax } from '../domain/file-scan.js';
import { formatBytes } from '../domain/units.js';
import type { FsDiskListView, FsStatusView } from './fs-views.js';
import { governorLines } from './governor-view.js';
import { counted, printable, printableHex } from './printable.js';
import type { Output } from './schemas.js';
import { bytesText, capitalised, percent, shortId, tableText } from './text.js';

type FsAnalyzeView = Extract<Output<'defrag analyze'>, { kind: 'file-system' }>;
type DefragPlanView = Extract<Output<'defrag start'>, { dryRun: true }>;

export function fsAnalysisText(analysis: FsAnalyzeView): string {
  const lines = [
    'Fragmentation Analysis:',
    ...totalLines(analysis),
    `  Reclaimable by trim: ${analysis.reclaimableBytes === null ? 'not known' : bytesText(analysis.reclaimableBytes)}`,
    `  File system: ${analysis.fsType} on ${printable(analysis.path)}, an extent is a file`,
  ];
  const reason = analysis.fallbackReason ?? analysis.slowReason;
  if (analysis.subtree !== null) lines.push(`  Only below: ${printable(analysis.subtree)}`);
  lines.push(`  Read from: ${analysis.method}${reason === null ? '' : ` (${printable(reason)})`}`);
  // Zeros and ratios of nothing would pass for figures.
  if (analysis.incomplete && analysis.extentCount === 0) {
    return [...lines, ...freeSpaceLines(analysis)].join('\n');
  }
  const ofWhat = analysis.incomplete ? ' (of the part that was read)' : '';
  lines.push('', `Per-Disk Statistics${ofWhat}:`);
  for (const disk of analysis.disks) {
    lines.push(
      `  Disk ${diskLabel(analysis, disk)}:`,
      `    Total extents: ${disk.extentCount}`,
      `    Fragmented: ${disk.fragmentedExtentCount}`,
      `    Ratio: ${percent(disk.fragmentationRatio)}`,
      `    Average fragments per extent: ${disk.averageFragmentsPerExtent.toFixed(2)}`,
      `    Sequential ratio: ${percent(disk.sequentialRatio)}`,
      `    Devices: ${disk.devices.map(printable).join(', ') || 'none'}`,
      ...diskSpaceLines(disk),
    );
  }
  lines.push('', `Per-Tier Statistics${ofWhat}:`);
  for (const tier of analysis.tiers) {
    const { fragmentedExtentCount, extentCount, fragmentationRatio, allocatedBytes } = tier;
    lines.push(
      `  ${capitalised(tier.tier)}: ${fragmentedExtentCount} of ${extentCount} fragmented (${percent(fragmentationRatio)}), ${formatBytes(allocatedBytes)}`,
    );
  }
  lines.push(...fileLines(analysis), ...histogramLines(analysis), ...worstLines(analysis));
  return lines.join('\n');
}

/** Of an incomplete analysis nothing is said of the whole. */
function totalLines(analysis: FsAnalyzeView): string[] {
  const { extentCount, fragmentedExtentCount, fragmentationRatio, recommendation } = analysis;
  if (analysis.incomplete === null) {
    return [
      `  Total extents: ${extentCount}`,
      `  Fragmented extents: ${fragmentedExtentCount}`,
      `  Fragmentation ratio: ${percent(fragmentationRatio)}`,
      `  Recommendation: ${recommendation}`,
    ];
  }
  return [
    `  INCOMPLETE: ${printable(analysis.incomplete.message)}`,
    '  What follows is the part that could be read',
    `  Total extents: not known, ${extentCount} read`,
    `  Fragmented extents: not known, ${fragmentedExtentCount} of those read`,
    '  Recommendation: not known',
  ];
}

/** Devices of one file system have its id in common. */
function diskLabel({ disks }: FsAnalyzeView, disk: FsAnalyzeView['disks'][number]): string {
  return disks.length === 1 ? shortId(disk.diskId) : printable(disk.devices[0] ?? 'missing');
}

function diskSpaceLines(disk: FsAnalyzeView['disks'][number]): string[] {
  const { capacityBytes, allocatedBytes, freeSpace, reclaimableBytes } = disk;
  const lines = [];
  if (capacityBytes !== null) {
    lines.push(`    Size: ${formatBytes(capacityBytes)}, files ${formatBytes(allocatedBytes)}`);
  }
  if (freeSpace) {
    lines.push(
      `    Free: ${formatBytes(freeSpace.freeBytes)} in ${counted(freeSpace.runCount, 'run')}, the largest ${formatBytes(freeSpace.largestRunBytes)}`,
    );
  }
  if (reclaimableBytes !== null) lines.push(`    Reclaimable: ${formatBytes(reclaimableBytes)}`);
  return lines;
}

function fileLines({ files }: FsAnalyzeView): string[] {
  const some: [string, number, number | null][] = [
    ['Shared (reflinks, snapshots)', files.sharedCount, files.sharedBytes],
    ['Compressed', files.compressedCount, files.compressedBytes],
    ['Preallocated, not written', files.unwrittenCount, files.unwrittenBytes],
    ['Inside their inodes', files.inlineCount, null],
    ['Sparse', files.sparseCount, null],
    ['Empty', files.emptyCount, null],
    ['With several names', files.hardLinkedCount, null],
    ['Unreadable', files.failedCount, null],
    ['Gone meanwhile', files.vanishedCount, null],
    ['Other mounts, left out', files.otherMountCount, null],
  ];
  const lines = ['', 'Files:', `  Allocated: ${bytesText(files.allocatedBytes)}`];
  for (const [label, count, bytes] of some) {
    if (count > 0)
      lines.push(`  ${label}: ${count}${bytes === null ? '' : `, ${formatBytes(bytes)}`}`);
  }
  if (!files.sharedKnown) lines.push('  Shared: not known, there are too many files');
  return lines;
}

const NEEDS_ROOT = 'reading it needs root, on ext4, XFS or Btrfs';

function histogramLines(analysis: FsAnalyzeView): string[] {
  const { fragmentCounts, fragmentSizes } = analysis;
  const lines = ['', 'Fragments per File:'];
  for (const [index, count] of fragmentCounts.entries()) {
    if (count > 0) lines.push(`  up to ${countClassMax(index)}: ${counted(count, 'file')}`);
  }
  lines.push('', 'Fragment Sizes:');
  for (const [index, { count, bytes }] of fragmentSizes.entries()) {
    if (count === 0) continue;
    const [from, below] = [formatBytes(2 ** index), formatBytes(2 ** (index + 1))];
    lines.push(`  ${from} to below ${below}: ${counted(count, 'fragment')}, ${formatBytes(bytes)}`);
  }
  return [...lines, ...freeSpaceLines(analysis)];
}

function freeSpaceLines({ freeSpace, incomplete }: FsAnalyzeView): string[] {
  const lines = ['', 'Free Space:'];
  if (!freeSpace)
    return [...lines, `  Not known: ${incomplete ? 'it could not be read' : NEEDS_ROOT}`];
  lines.push(
    `  ${bytesText(freeSpace.freeBytes)} in ${counted(freeSpace.runCount, 'run')}, the largest ${formatBytes(freeSpace.largestRunBytes)}`,
  );
  for (const { belowBytes, runCount, bytes } of freeSpace.runs) {
    const label = belowBytes === null ? 'larger' : `below ${formatBytes(belowBytes)}`;
    if (runCount > 0) lines.push(`  ${label}: ${counted(runCount, 'run')}, ${formatBytes(bytes)}`);
  }
  return lines;
}

function worstLines({ worstFiles }: FsAnalyzeView): string[] {
  if (worstFiles.length === 0) return [];
  const rows = worstFiles.map((file) => [
    String(file.fragmentCount),
    String(file.gain),
    formatBytes(file.sizeBytes),
    file.tier,
    nameOf(file.pathHex),
  ]);
  return ['', 'Worst Files:', tableText([['FRAGMENTS', 'GAIN', 'SIZE', 'TIER', 'PATH'], ...rows])];
}

function nameOf(pathHex: string | null): string {
  return pathHex === null ? '(no name found)' : printableHex(pathHex);
}

export function defragPlanText(plan: DefragPlanView): string {
  if (plan.incomplete && plan.scannedCount === 0) {
    return `INCOMPLETE: ${printable(plan.incomplete.message)}\nNo file could be read, so there is no plan`;
  }
  const lines = [
    `Defragmentation would move ${counted(plan.fileCount, 'file')} and rewrite ${bytesText(plan.moveBytes)}; nothing was changed`,
    `  Fragmented: ${plan.fragmentedCount} of ${counted(plan.scannedCount, 'file')}`,
    `  Fragments of these files: ${plan.fragmentsBefore}, afterwards ${plan.fragmentsAfter}`,
  ];
  if (plan.incomplete) {
    lines.unshift(
      `INCOMPLETE: ${printable(plan.incomplete.message)}`,
      'What follows is the part that could be read',
    );
  }
  if (plan.truncated) lines.push('  There are more; a run takes them in further rounds');
  for (const { reason, count } of plan.skipped) lines.push(`  Skipped: ${count} (${reason})`);
  for (const { reason, count } of plan.failed)
    lines.push(`  Failed: ${count} (${printable(reason)})`);
  if (plan.files.length > 0) {
    const rows = plan.files.map((file) => [
      String(file.fragmentsBefore),
      String(file.fragmentsAfter),
      formatBytes(file.moveBytes),
      nameOf(file.pathHex),
    ]);
    lines.push('', tableText([['FRAGMENTS', 'AFTER', 'REWRITE', 'PATH'], ...rows]));
  }
  return lines.join('\n');
}

export function fsStatusText(status: FsStatusView): string {
  const lines = [
    `Pool ${printable(status.path)}`,
    `  Id: ${status.poolId}`,
    `  File system: ${status.fsType}, ${status.fileSystemUuid}, ${status.condition}`,
    `  Used: ${spaceText(status)}`,
  ];
  if (status.options.length > 0)
    lines.push(`  Options: ${printable([...new Set(status.options)].join(','))}`);
  for (const run of status.openRuns) {
    lines.push(
      `  ${capitalised(run.kind)}: ${run.state}, ${run.processedCount} of ${run.plannedCount}`,
    );
  }
  lines.push(...governorLines(status.governor));
  if (status.openMoveCount > 0) {
    lines.push(`  Open moves: ${status.openMoveCount}, settled by the agent`);
  }
  if (status.lastAnalysis) {
    const { fragmentationRatio, recommendation } = status.lastAnalysis;
    lines.push(
      `  Last analysis: ${percent(fragmentationRatio)} fragmented, ${recommendation ?? 'incomplete'}`,
    );
  }
  return [...lines, '', deviceTable(status.disks)].join('\n');
}

export function fsDisksText(list: FsDiskListView): string {
  return [`${list.condition}, ${spaceText(list)}`, deviceTable(list.disks)].join('\n');
}

function spaceText({ usedBytes, capacityBytes, freeBytes }: FsDiskListView | FsStatusView): string {
  if (usedBytes === null || capacityBytes === null || freeBytes === null) return 'not mounted';
  return `${formatBytes(usedBytes)} of ${formatBytes(capacityBytes)}, ${formatBytes(freeBytes)} free`;
}

function deviceTable(disks: FsStatusView['disks']): string {
  if (disks.length === 0) return 'No devices.';
  const rows = disks.map((disk) => [
    printable(disk.path),
    disk.capacityBytes === null ? '?' : formatBytes(disk.capacityBytes),
    disk.freeBytes === null ? '?' : formatBytes(disk.freeBytes),
    disk.rotational === null ? 'unknown' : disk.rotational ? 'rotational' : 'solid state',
    disk.discardMaxBytes === 0 ? 'none' : formatBytes(disk.discardGranularityBytes),
    printable(disk.backingPath ?? ''),
  ]);
  return tableText([['DEVICE', 'CAPACITY', 'FREE', 'MEDIUM', 'DISCARDS', 'BACKED BY'], ...rows]);
}
