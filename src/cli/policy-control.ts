/** Sets and shows the policy of a pool. */

import { readFileSync } from 'node:fs';
import { MaintenanceError } from '../domain/errors.js';
import {
  effectivePolicy,
  merged,
  type Policy,
  type PolicyDocument,
  type PolicyOverrides,
  type PolicyPreset,
  PRESET_DESCRIPTIONS,
} from '../domain/policy.js';
import { processActor } from '../kernel/actor.js';
import type { MaintainedPool } from '../pool/maintained-pool.js';
import { withAnyPool } from './pool-access.js';
import type { Output } from './schemas.js';

export interface PolicyChange {
  /** Null to keep the one that is set. */
  readonly preset: PolicyPreset | null;
  /** A file, or `-` for standard input; null for none. */
  readonly file: string | null;
  readonly overrides: PolicyOverrides;
}

/**
 * A preset or a file replaces what was set before; flags alone are added to it.
 *
 * @throws MaintenanceError ERR_USAGE with every error of the file; then nothing is changed.
 */
export async function setPolicy(path: string, change: PolicyChange): Promise<Output<'policy set'>> {
  const { preset, file, overrides } = change;
  if (preset === null && file === null && Object.keys(overrides).length === 0) {
    throw new MaintenanceError('ERR_USAGE', 'nothing to set', {
      nextStep: 'Name a preset with --policy, a file with --file, or a field by its flag.',
    });
  }
  const read = file === null ? null : await readPolicyFile(file);
  return await withAnyPool(path, 'write', (pool) => {
    const { store, clock } = pool.context;
    return store.transaction(() => {
      const before = store.policies.current().document;
      store.policies.set(changed(before, change, read), clock(), processActor());
      return policyView(pool);
    });
  });
}

/** Adds to the overrides that are set. @returns the policy that holds from now on. */
export function changePolicy({ context }: MaintainedPool, overrides: PolicyOverrides): Policy {
  const { store, clock } = context;
  return store.transaction(() => {
    const before = store.policies.current().document;
    const change = { preset: null, file: null, overrides };
    store.policies.set(changed(before, change, null), clock(), processActor());
    return store.policies.effective();
  });
}

function changed(
  before: PolicyDocument,
  { preset, overrides }: PolicyChange,
  read: PolicyDocument | null,
): PolicyDocument {
  const base = read ?? (preset === null ? before : { preset, overrides: {} });
  return {
    preset: preset ?? base.preset,
    overrides: merged(base.overrides as object, overrides) as PolicyOverrides,
  };
}

/** @throws MaintenanceError ERR_USAGE, ERR_TARGET_NOT_FOUND. */
export async function readPolicyFile(file: string): Promise<PolicyDocument> {
  const { parsePolicy, policyErrors } = await import('./policy-file.js');
  const result = parsePolicy(textOf(file), 'custom');
  if ('problems' in result) throw policyErrors(file, result.problems);
  return result.document;
}

function textOf(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (cause) {
    throw new MaintenanceError('ERR_TARGET_NOT_FOUND', `${file} cannot be read`, {
      cause,
      nextStep: 'Check the path of the policy file.',
    });
  }
}

export function showPolicy(path: string): Promise<Output<'policy show'>> {
  return withAnyPool(path, 'read', policyView);
}

export function policyView({ context }: MaintainedPool): Output<'policy show'> {
  const { version, document, setAtMs, setBy } = context.store.policies.current();
  return {
    schemaVersion: 1,
    version,
    setAtMs,
    setBy,
    preset: document.preset,
    description: PRESET_DESCRIPTIONS[document.preset],
    overrides: document.overrides as Record<string, unknown>,
    effective: effectivePolicy(document) as Output<'policy show'>['effective'],
  };
}
