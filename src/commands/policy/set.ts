import { Flags } from '@oclif/core';
import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { setPolicy } from '../../cli/policy-control.js';
import { policySetText } from '../../cli/policy-text.js';
import { prose } from '../../cli/prose.js';
import type { Output } from '../../cli/schemas.js';
import { POLICY_PRESETS, type PolicyPreset } from '../../domain/policy.js';

/** Says what maintenance may do, and when. */
export default class PolicySet extends BaseCommand {
  static override hiddenAliases = ['set-reclamation-policy'];
  static override summary = 'Set the reclamation policy of a pool.';

  static override description =
    prose(`A preset or a file replaces the policy that was set before; the flags below alone change
one field of it. A file with errors changes nothing, and each error is shown with its path. So far only
the trim of a policy is in force: docs/policy.md says which fields.

EXIT STATUS: 0 set, 2 usage, or a bad file, 10 no such pool or file, 21 not registered.`);

  static override examples = [
    '<%= config.bin %> <%= command.id %> --pool /pool --policy aggressive',
    '<%= config.bin %> <%= command.id %> --pool /pool --file policy.yaml',
  ];

  static override flags = {
    pool: poolFlag,
    policy: Flags.option({ options: POLICY_PRESETS, summary: 'The preset.' })(),
    file: Flags.string({
      summary: 'A policy file, YAML or JSON; - for standard input.',
      helpValue: 'FILE',
    }),
    enabled: Flags.boolean({ summary: 'Whether triggers begin anything.', allowNo: true }),
  };

  async run(): Promise<Output<'policy set'>> {
    const { flags } = await this.parse(PolicySet);
    const result = await setPolicy(flags.pool, {
      preset: (flags.policy as PolicyPreset | undefined) ?? null,
      file: flags.file ?? null,
      overrides: flags.enabled === undefined ? {} : { enabled: flags.enabled },
    });
    this.log(policySetText(result));
    return result;
  }
}
