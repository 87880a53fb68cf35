/** How long ago the machine booted: a clock that nobody sets, and that counts while it is suspended. */

import { readFileSync } from 'node:fs';
import type { BootTime } from '../domain/pauses.js';

/**
 * @returns null where /proc does not tell.
 *
 * Source: proc_uptime(5), Documentation/admin-guide/sysctl/kernel.rst (random/boot_id).
 */
export function bootTime(): BootTime | null {
  try {
    const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    const seconds = Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]);
    return Number.isFinite(seconds) ? { bootId, sinceBootMs: Math.round(seconds * 1_000) } : null;
  } catch {
    return null;
  }
}
