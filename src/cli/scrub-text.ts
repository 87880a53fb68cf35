/** What the scrub commands print for people. */

import { pauseLines } from './pause-view.js';
import { counted, printable } from './printable.js';
import type { Output } from './schemas.js';
import { bytesText, capitalised, durationText } from './text.js';

type Status = Output<'scrub status'>;

export function scrubText(status: Status): string {
  const { run } = status;
  if (!run) return 'Scrub Status:\n  Never run';
  const state = status.running ? (status.paused ? 'paused' : 'running') : run.state;
  const lines = [
    'Scrub Status:',
    `  State: ${state}`,
    `  Intensity: ${capitalised(run.intensity)}`,
    `  Repair: ${status.repair}`,
    `  Replicas verified: ${status.replicasVerified} of ${run.plannedCount}`,
    `  Bytes verified: ${bytesText(status.bytesVerified)}`,
    `  Bad: ${status.replicasBad}`,
    `  Repaired: ${status.replicasRepaired}`,
    `  Unrepairable: ${status.replicasUnrepairable}`,
  ];
  if (status.replicasSkipped > 0) {
    lines.push(`  Skipped: ${status.replicasSkipped} (disk away, or moved meanwhile)`);
  }
  if (status.running && run.estimatedRemainingMs !== null) {
    lines.push(`  Estimated remaining: ${durationText(run.estimatedRemainingMs)}`);
  }
  lines.push(...pauseLines(run.pause));
  if (run.error) lines.push(`  Error: ${printable(run.error.message)}`);
  lines.push(...badLines(status));
  return lines.join('\n');
}

/** What is bad now, by the name of its object. */
function badLines({ badReplicas }: Status): string[] {
  if (badReplicas.length === 0) return [];
  return [
    '',
    `${counted(badReplicas.length, 'bad replica')}:`,
    ...badReplicas.map(
      ({ object, extentIndex, diskPath, reason }) =>
        `  ${printable(object)}#${extentIndex} on ${printable(diskPath)}: ${printable(reason)}`,
    ),
  ];
}
