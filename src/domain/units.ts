/** Sizes in bytes and how they are read and printed. 1 MB is 1,048,576 bytes, as users of df -h expect. */

import { MaintenanceError } from './errors.js';

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;
export const TIB = 1024 * GIB;

/** Half-open: includes `startBytes`, excludes `startBytes + lengthBytes`. */
export interface ByteRun {
  readonly startBytes: number;
  readonly lengthBytes: number;
}

const UNIT_BYTES: Readonly<Record<string, number>> = { '': 1, K: KIB, M: MIB, G: GIB, T: TIB };

/**
 * Reads a size as a user writes it: `4096`, `64K`, `4MiB`, `1.5G`, `2TB`.
 *
 * @returns whole bytes, greater than 0.
 * @throws MaintenanceError ERR_USAGE when it is no size.
 */
export function parseSizeBytes(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*$/i.exec(text);
  const unitBytes = UNIT_BYTES[(match?.[2] ?? '').toUpperCase()];
  const sizeBytes = Math.floor(Number(match?.[1]) * (unitBytes ?? Number.NaN));
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0) {
    throw new MaintenanceError('ERR_USAGE', `not a size: "${text}"`, {
      nextStep: 'Write a number with K, M, G or T behind it, for example 512M or 4G.',
    });
  }
  return sizeBytes;
}

/** `524288000` → `500.00 MB`: two decimals, the unit that leaves a number below 1024. */
export function formatBytes(sizeBytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'];
  let value = sizeBytes;
  let unitIndex = 0;
  while (Math.abs(value) >= 1024 && unitIndex < units.length - 1) {
    value /= 1024;
    unitIndex += 1;
  }
  return unitIndex === 0 ? `${value} B` : `${value.toFixed(2)} ${units[unitIndex]}`;
}

export function roundUp(valueBytes: number, stepBytes: number): number {
  return Math.ceil(valueBytes / stepBytes) * stepBytes;
}

export function roundDown(valueBytes: number, stepBytes: number): number {
  return Math.floor(valueBytes / stepBytes) * stepBytes;
}

export function totalBytes(runs: readonly ByteRun[]): number {
  let sum = 0;
  for (const run of runs) sum += run.lengthBytes;
  return sum;
}

/** Makes one run of each row of runs that lie one behind the other, both in the list and on the disk. */
export function joinTouching(runs: readonly ByteRun[]): ByteRun[] {
  const joined: { startBytes: number; lengthBytes: number }[] = [];
  for (const run of runs) {
    const last = joined.at(-1);
    if (last && last.startBytes + last.lengthBytes === run.startBytes) {
      last.lengthBytes += run.lengthBytes;
    } else {
      joined.push({ ...run });
    }
  }
  return joined;
}
