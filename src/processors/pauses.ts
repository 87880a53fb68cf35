/** Pauses that are over: what they held goes on, whoever looks first after that. */

import type { BootTime } from '../domain/pauses.js';
import { bootTime } from '../kernel/boot-time.js';
import type { MaintenanceContext } from '../pool/maintained-pool.js';
import { overduePauses } from '../pool/pauses.js';
import { setReclamationPaused } from '../pool/reclamation.js';

/**
 * Asked every second.
 *
 * @param boot tests bring their own.
 */
export function expirePauses(context: MaintenanceContext, boot?: BootTime): void {
  const { store, clock } = context;
  // Without a transaction as long as there is nothing to look at.
  if (store.pauses.timed().length === 0) return;
  store.transaction(() => {
    context.assertOwner();
    for (const { subject, reason } of overduePauses(context, boot ?? bootTime())) {
      if (subject.kind === 'reclamation') setReclamationPaused({ context }, false, { reason });
      else store.runs.setState(subject.id, 'running', clock(), null, reason);
    }
  });
}
