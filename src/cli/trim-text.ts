/** What commands print of the windows and devices of a mounted file system that was trimmed. */

import { formatBytes } from '../domain/units.js';
import { counted, printable } from './printable.js';
import type { Output, RunView } from './schemas.js';

type Devices = NonNullable<Output<'trim status'>['devices']>;

const REASONS: Readonly<Record<string, string>> = {
  'nothing-freed': 'nothing was freed since they were trimmed',
  'freed-elsewhere': 'what was freed since lies elsewhere',
  full: 'no free space in them',
};

export function windowLines(run: RunView): string[] {
  const lines = [`  Windows: ${run.doneCount} trimmed, ${run.skippedCount} left out`];
  for (const { outcome, reason, count } of run.exclusions) {
    const why = REASONS[reason] ?? printable(reason);
    lines.push(
      `    ${counted(count, 'window')} ${outcome === 'failed' ? 'failed' : 'left out'}: ${why}`,
    );
  }
  if (run.failedCount > 0)
    lines.push(`  Failed windows: ${run.failedCount}, trimmed again next time`);
  if (run.unsupportedCount > 0) lines.push(`  Unsupported windows: ${run.unsupportedCount}`);
  return lines;
}

export function deviceLines(devices: Devices): string[] {
  return devices.map(({ path, discardedBytes, confirmedBytes, takesDiscards }) => {
    const device = `  Device ${printable(path)}:`;
    if (!takesDiscards) return `${device} takes no discards`;
    const seen =
      confirmedBytes === null
        ? 'what came of it cannot be seen here'
        : `the file behind it shrank by ${formatBytes(confirmedBytes)}`;
    return `${device} asked to discard ${formatBytes(discardedBytes)}, ${seen}`;
  });
}
