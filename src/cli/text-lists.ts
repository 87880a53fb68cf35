/** Lists as tables. */

import { formatBytes } from '../domain/units.js';
import { printable } from './printable.js';
import type { JobView, Output } from './schemas.js';
import { tableText } from './text.js';

export function objectsText(objects: Output<'ls'>['objects']): string {
  return tableText(
    objects.map(({ name, kind, mode, sizeBytes, mtimeMs, linkTarget }) => [
      kind === 'directory' ? 'd' : kind === 'symlink' ? 'l' : '-',
      mode.toString(8).padStart(4, '0'),
      String(sizeBytes).padStart(12),
      new Date(mtimeMs).toISOString().slice(0, 16).replace('T', ' '),
      linkTarget === null ? printable(name) : `${printable(name)} -> ${printable(linkTarget)}`,
    ]),
  );
}

export function extentsText(extents: Output<'extent list'>['extents']): string {
  if (extents.length === 0) return 'No extents.';
  const rows = extents.map((extent) => [
    String(extent.extentId),
    formatBytes(extent.sizeBytes),
    String(extent.generation),
    String(extent.replicas.length),
    String(extent.fragmentCount),
    extent.tier,
    `${extent.heatTier} ${extent.heat.toFixed(1)}`,
    `${printable(extent.object)}#${extent.extentIndex}`,
  ]);
  const head = ['EXTENT', 'SIZE', 'GENERATION', 'REPLICAS', 'FRAGMENTS', 'TIER', 'HEAT', 'OBJECT'];
  return tableText([head, ...rows]);
}

export function jobsText(jobs: readonly JobView[]): string {
  if (jobs.length === 0) return 'No jobs.';
  const rows = jobs.map((job) => [
    job.jobId,
    job.queue,
    job.state,
    String(job.attempts),
    new Date(job.addedAtMs).toISOString().slice(0, 19).replace('T', ' '),
  ]);
  return tableText([['JOB', 'QUEUE', 'STATE', 'ATTEMPTS', 'ADDED (UTC)'], ...rows]);
}

export function jobText(job: JobView): string {
  const lines = [
    `Job ${job.jobId}`,
    `  Queue: ${job.queue}`,
    `  State: ${job.state}`,
    `  Attempts: ${job.attempts}`,
    `  Data: ${JSON.stringify(job.data)}`,
  ];
  if (job.result !== null) lines.push(`  Result: ${JSON.stringify(job.result)}`);
  if (job.error !== null) lines.push(`  Error: ${printable(job.error)}`);
  return lines.join('\n');
}
