/** `policy explain`: what the policy would do now, and why. Reads only. */

import { effectivePolicy } from '../domain/policy.js';
import { forecastTiers } from '../domain/policy-plan.js';
import { decide } from '../domain/triggers.js';
import { triggerFacts } from '../pool/trigger-facts.js';
import { readPolicyFile } from './policy-control.js';
import { withAnyPool } from './pool-access.js';
import type { Output } from './schemas.js';

/**
 * @param file a policy that is looked at instead of the one that holds; null for that one.
 * @throws MaintenanceError ERR_USAGE with every error of the file.
 */
export async function explainPolicy(
  path: string,
  file: string | null,
): Promise<Output<'policy explain'>> {
  const other = file === null ? null : await readPolicyFile(file);
  return await withAnyPool(path, 'read', (pool) => {
    const stored = pool.context.store.policies.current();
    const policy = effectivePolicy(other ?? stored.document);
    const facts = triggerFacts(pool.context, policy);
    const { verdicts, chosen, holds, adaptive } = decide(policy, facts);
    return {
      schemaVersion: 1,
      atMs: facts.nowMs,
      policy: {
        preset: policy.preset,
        version: other === null ? stored.version : null,
        file,
        enabled: policy.enabled,
        timeBudgetMs: policy.timeBudgetMs,
        wearBudgetBytesPerDay: policy.wearBudgetBytesPerDay,
      },
      begins: chosen && { trigger: chosen.trigger, scope: chosen.scope, reason: chosen.reason },
      holds: holds.map((hold) => ({ ...hold, triggers: [...hold.triggers] })),
      triggers: [...verdicts],
      windows: policy.windows.length === 0 ? null : facts.windows,
      quietUntilMs: facts.quietUntilMs,
      wornTodayBytes: facts.wornTodayBytes,
      payback: facts.payback,
      adaptive,
      tiers: forecastTiers(policy, facts),
    };
  });
}
