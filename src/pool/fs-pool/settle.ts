/** Finishes or undoes what a dead agent, or an error, left half done; deletes donors nobody needs. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DONOR_DIRECTORY } from '../../kernel/donor-directory.js';
import type { FsPoolContext } from './context.js';
import { movePlace } from './detect.js';

export interface SettleReport {
  readonly intentCount: number;
  /** Contents that were restored from the old blocks. */
  readonly restoredCount: number;
  /** Intents that stay open, with their donors. */
  readonly openCount: number;
  readonly deletedDonorCount: number;
}

/**
 * Safe while: no group is under way, whose donors it would take for leftovers.
 *
 * @returns null when there was nothing to do.
 * @throws MaintenanceError ERR_DISK_UNAVAILABLE while it is not mounted.
 */
export async function settleIntents(context: FsPoolContext): Promise<SettleReport | null> {
  const mount = context.mount();
  const open = context.store.intents.all();
  if (open.length === 0 && !existsSync(join(mount.path, DONOR_DIRECTORY))) return null;
  // Nothing can be undone there, and nothing is at risk: the donors stay.
  if (mount.isReadOnly) return null;
  const { outcomes, deletedDonorCount } = await context.workers.run('settle-intents', {
    ...movePlace(mount),
    intents: open.map(({ intent }) => intent),
    groupPrefix: context.poolId,
  });
  let restoredCount = 0;
  let openCount = 0;
  context.store.transaction(() => {
    context.assertOwner();
    for (const [index, { intentId }] of open.entries()) {
      const outcome = outcomes[index];
      if (!outcome || outcome.kind === 'failed') openCount += 1;
      else context.store.intents.remove(intentId);
      if (outcome?.kind === 'restored') restoredCount += 1;
    }
  });
  if (open.length + deletedDonorCount === 0) return null;
  return { intentCount: open.length, restoredCount, openCount, deletedDonorCount };
}
