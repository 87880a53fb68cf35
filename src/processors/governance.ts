/** Which devices an extent pool shares with others, and which of its runs give way to them. */

import type { Run } from '../domain/runs.js';
import { deviceNamesUnder } from '../kernel/load-probe.js';
import type { PoolContext } from '../pool/extent-pool/context.js';
import type { Governance } from './run-watch.js';

/** @returns null for repairs: until they are done, a copy is missing. */
export function governanceOf(context: PoolContext, { kind, threadCount }: Run): Governance | null {
  if (kind === 'repair') return null;
  const deviceNames = () => context.store.disks.all().flatMap(({ path }) => deviceNamesUnder(path));
  return { deviceNames, laneCount: threadCount };
}
