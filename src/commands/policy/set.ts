import { Flags } from '@oclif/core';
import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { setPolicy } from '../../cli/policy-control.js';
import { overridesOf, policyFieldFlags } from '../../cli/policy-flags.js';
import { policySetText } from '../../cli/policy-text.js';
import { prose } from '../../cli/prose.js';
import type { Output } from '../../cli/schemas.js';
import { POLICY_PRESETS, type PolicyPreset } from '../../domain/policy.js';

/** Says what maintenance may do, and when. */
export default class PolicySet extends BaseCommand {
  static override hiddenAliases = ['set-reclamation-policy'];
  static override summary = 'Set the reclamation policy of a pool.';

  static override description =
    prose(`A preset or a file replaces the policy that was set before; the other flags change one field
each of it, or of the one that is set. With --tier they are for that tier. A file or flags with errors
change nothing, and each error is shown with its path. docs/policy.md says what each field does, and
\`policy explain\` what would begin now.

EXIT STATUS: 0 set, 2 usage, or a bad file, 10 no such pool or file, 21 not registered.`);

  static override examples = [
    '<%= config.bin %> <%= command.id %> --pool /pool --policy aggressive',
    '<%= config.bin %> <%= command.id %> --pool /pool --tier hot --tier warm --min-fragments 8',
    '<%= config.bin %> <%= command.id %> --pool /pool --window "0 1 * * * for 4h in Europe/Berlin"',
    '<%= config.bin %> <%= command.id %> --pool /pool --file policy.yaml',
  ];

  static override flags = {
    pool: poolFlag,
    policy: Flags.option({ options: POLICY_PRESETS, summary: 'The preset.' })(),
    file: Flags.string({
      summary: 'A policy file, YAML or JSON; - for standard input.',
      helpValue: 'FILE',
    }),
    ...policyFieldFlags,
  };

  async run(): Promise<Output<'policy set'>> {
    const { flags } = await this.parse(PolicySet);
    const result = await setPolicy(flags.pool, {
      preset: (flags.policy as PolicyPreset | undefined) ?? null,
      file: flags.file ?? null,
      overrides: await overridesOf(flags),
    });
    this.log(policySetText(result));
    return result;
  }
}
