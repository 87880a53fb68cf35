/** The part of a tick that begins what the pool's policy wants. */

import { decide } from '../domain/triggers.js';
import type { ExtentPoolGround } from '../pool/extent-pool/reclamation-ground.js';
import type { FsPoolGround } from '../pool/fs-pool/reclamation-ground.js';
import { beginReclamation } from '../pool/reclamation.js';
import { noteTick, triggerFacts } from '../pool/trigger-facts.js';
import { sampleHour } from './hour-samples.js';

/** @returns the reclamation that this call began; null when nothing is to be done, or something holds it. */
export function beginWanted(ground: ExtentPoolGround | FsPoolGround): number | null {
  const { context } = ground;
  const { store } = context;
  return store.transaction(() => {
    const policy = store.policies.effective();
    const facts = triggerFacts(context, policy);
    const decision = decide(policy, facts);
    sampleHour(context, facts);
    noteTick(context, decision);
    const { chosen, intensityMax } = decision;
    if (!chosen) return null;
    const { trigger, scope, reason } = chosen;
    const request = { trigger, scope: scope === 'pool' ? null : scope, reason, intensityMax };
    return beginReclamation(ground, { ...request, actor: store.ledger.actor }).reclamationId;
  });
}
