/** What this process may do. */

import { readFileSync } from 'node:fs';

/** Bits of CapEff. Source: capabilities(7), linux/capability.h. */
const DAC_READ_SEARCH = 1n << 2n;
const SYS_ADMIN = 1n << 21n;

export interface Capabilities {
  /** FITRIM, Btrfs trees, GETFSMAP of other users' files. */
  readonly canAdminister: boolean;
  /** open_by_handle_at(2). */
  readonly canOpenByHandle: boolean;
}

export function effectiveCapabilities(status = readFileSync('/proc/self/status', 'latin1')) {
  const bits = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  return {
    canAdminister: (bits & SYS_ADMIN) !== 0n,
    canOpenByHandle: (bits & DAC_READ_SEARCH) !== 0n,
  } satisfies Capabilities;
}
