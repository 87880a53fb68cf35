/** `policy edit`: the policy as a file in an editor; what comes out of it is checked before it counts. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MaintenanceError } from '../domain/errors.js';
import { effectivePolicy } from '../domain/policy.js';
import { processActor } from '../kernel/actor.js';
import type { StoredPolicy } from '../store/policies.js';
import { policyView, showPolicy } from './policy-control.js';
import { withAnyPool } from './pool-access.js';
import type { Output } from './schemas.js';

export interface PolicyEdit {
  /** Whether anything else than before is in force now. */
  readonly isChanged: boolean;
  readonly view: Output<'policy edit'>;
}

/**
 * @param quiet keeps what the editor prints away from standard output.
 * @throws MaintenanceError ERR_USAGE with every error, or when the editor fails; ERR_TARGET_BUSY when
 *   the policy was set by somebody else meanwhile. Then nothing is changed, and the text is kept.
 */
export async function editPolicy(path: string, quiet: boolean): Promise<PolicyEdit> {
  const before = await withAnyPool(path, 'read', ({ context }) => context.store.policies.current());
  const directory = mkdtempSync(join(tmpdir(), 'dynamicfs-policy-'));
  const file = join(directory, 'policy.yaml');
  const text = await textOf(before, path);
  writeFileSync(file, text, { mode: 0o600 });
  runEditor(file, quiet);
  const edited = readFileSync(file, 'utf8');
  const view = edited === text ? null : await apply(path, file, edited, before);
  rmSync(directory, { recursive: true });
  return { isChanged: view !== null, view: view ?? (await showPolicy(path)) };
}

async function apply(
  path: string,
  file: string,
  edited: string,
  before: StoredPolicy,
): Promise<Output<'policy edit'>> {
  const { parsePolicy, policyErrors } = await import('./policy-file.js');
  const result = parsePolicy(edited, 'custom');
  if ('problems' in result) throw policyErrors(file, result.problems, keptIn(file, path));
  return await withAnyPool(path, 'write', (pool) => {
    const { store, clock } = pool.context;
    return store.transaction(() => {
      const { version, setBy } = store.policies.current();
      if (version !== before.version) {
        const what = `${setBy} set version ${version} of the policy meanwhile`;
        throw new MaintenanceError('ERR_TARGET_BUSY', what, { nextStep: keptIn(file, path) });
      }
      store.policies.set(result.document, clock(), processActor());
      return policyView(pool);
    });
  });
}

async function textOf({ document, version, setBy }: StoredPolicy, path: string): Promise<string> {
  const { stringify } = await import('yaml');
  const { preset, ...effective } = effectivePolicy(document);
  const who = setBy === null ? 'the default' : `version ${version}, set by ${setBy}`;
  return [
    `# Policy of ${path}: ${who}. What is left out is the preset's; an unchanged text changes nothing.`,
    stringify({ preset: document.preset, ...document.overrides }).trimEnd(),
    '',
    '# Every field, with the value that holds now:',
    ...stringify(effective)
      .trimEnd()
      .split('\n')
      .map((line) => `# ${line}`),
    '',
  ].join('\n');
}

/** As git does: the variable is a command of the shell, which may have arguments. */
function runEditor(file: string, quiet: boolean): void {
  const editor = process.env.VISUAL || process.env.EDITOR || 'vi';
  const { status, error } = spawnSync('/bin/sh', ['-c', `${editor} "$1"`, editor, file], {
    stdio: ['inherit', quiet ? 2 : 'inherit', 'inherit'],
  });
  if (status === 0) return;
  throw new MaintenanceError('ERR_USAGE', `the editor failed: ${editor}`, {
    ...(error ? { cause: error } : {}),
    nextStep: `Nothing was changed. Name another one in $VISUAL or $EDITOR. The text is in ${file}.`,
  });
}

function keptIn(file: string, path: string): string {
  return `Nothing was changed. The text is kept: correct ${file}, then \`dynamicfs policy set --pool ${path} --file ${file}\`.`;
}
