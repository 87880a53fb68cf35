/** Progress bars with rate and ETA, on standard error, and only where somebody watches. */

import { formatBytes } from '../domain/units.js';
import { durationText } from './text.js';

export interface Progress {
  update(done: number, detail?: string): void;
  setTotal(total: number): void;
  stop(): void;
}

const SILENT: Progress = { update: () => {}, setTotal: () => {}, stop: () => {} };

export interface ProgressOptions {
  readonly label: string;
  readonly unit: 'bytes' | 'extents' | 'ranges' | 'files' | 'windows' | 'replicas' | 'steps';
  /** 0 while it is not known. */
  readonly total: number;
  /** `--json` was asked for, or another reason to keep quiet. */
  readonly quiet: boolean;
}

export async function startProgress(options: ProgressOptions): Promise<Progress> {
  if (options.quiet || process.stderr.isTTY !== true) return SILENT;
  const { SingleBar } = (await import('cli-progress')).default;
  const startedAtMs = Date.now();
  const show = (value: number) => (options.unit === 'bytes' ? formatBytes(value) : String(value));
  const noun = options.unit === 'bytes' ? '' : ` ${options.unit}`;
  const bar = new SingleBar({
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
    fps: 5,
    format: (_barOptions, { value, total, progress }, payload: { detail?: string }) => {
      const elapsedMs = Math.max(1, Date.now() - startedAtMs);
      const width = 24;
      const filled = Math.round(width * Math.min(1, progress || 0));
      const rate = (value / elapsedMs) * 1000;
      const left = total > value && value > 0 ? ((total - value) / value) * elapsedMs : null;
      const parts = [
        options.label.padEnd(8),
        total > 0 ? `${'█'.repeat(filled)}${'░'.repeat(width - filled)}` : '',
        `${show(value)}${total > 0 ? ` of ${show(total)}` : ''}${noun}`,
        `${options.unit === 'bytes' ? formatBytes(Math.round(rate)) : rate.toFixed(1)}/s`,
        left === null ? '' : `ETA ${durationText(left)}`,
        payload.detail ?? '',
      ];
      return parts.filter((part) => part !== '').join('  ');
    },
  });
  bar.start(options.total, 0, {});
  return {
    update: (done, detail) => bar.update(done, detail === undefined ? {} : { detail }),
    setTotal: (total) => bar.setTotal(total),
    stop: () => bar.stop(),
  };
}
