/**
 * What the block device of a mount can discard, and the file behind a loop device.
 *
 * The limits lie with the whole disk: a partition has no queue of its own.
 *
 * Source: Documentation/ABI/stable/sysfs-block (discard_granularity, discard_max_bytes, loop/).
 */

import { readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface DiscardLimits {
  readonly granularityBytes: number;
  /** 0 when it cannot discard. */
  readonly maxBytes: number;
  readonly sizeBytes: number | null;
}

const SECTOR_BYTES = 512;

export function discardLimits(deviceName: string): DiscardLimits {
  const own = sysfsPath(deviceName);
  const whole = own !== null && readText(join(own, 'partition')) !== null ? dirname(own) : own;
  const number = (name: string) => Number(readText(join(whole ?? '', 'queue', name)) ?? '0');
  const sectors = readText(join(own ?? '', 'size'));
  return {
    granularityBytes: number('discard_granularity'),
    maxBytes: number('discard_max_bytes'),
    sizeBytes: sectors === null ? null : Number(sectors) * SECTOR_BYTES,
  };
}

/** @returns null for what is no loop device, or when its file was deleted. */
export function loopBacking(
  deviceName: string,
): { readonly path: string; readonly offsetBytes: number } | null {
  const own = sysfsPath(deviceName);
  const path = readText(join(own ?? '', 'loop', 'backing_file'));
  if (path === null || path.endsWith(' (deleted)')) return null;
  return { path, offsetBytes: Number(readText(join(own ?? '', 'loop', 'offset')) ?? '0') };
}

function sysfsPath(deviceName: string): string | null {
  try {
    return realpathSync(join('/sys/class/block', deviceName));
  } catch {
    return null;
  }
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').replace(/\n$/, '');
  } catch {
    return null;
  }
}
