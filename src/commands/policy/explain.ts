import { Flags } from '@oclif/core';
import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { explainPolicy } from '../../cli/policy-explain.js';
import { policyExplainText } from '../../cli/policy-explain-text.js';
import { prose } from '../../cli/prose.js';
import type { Output } from '../../cli/schemas.js';

/** Says what the policy would do now, and why. */
export default class PolicyExplain extends BaseCommand {
  static override summary = 'Say what the policy would do now, and why.';

  static override description =
    prose(`Trigger by trigger with the figures compared; what holds them, and until when; and what a
whole reclamation would do to each tier. Nothing is begun or changed. A figure that is not known is
shown as unknown, and begins nothing.

EXIT STATUS: 0 shown, 2 usage, or a bad file, 10 no such pool or file.`);

  static override examples = [
    '<%= config.bin %> <%= command.id %> --pool /pool',
    '<%= config.bin %> <%= command.id %> --pool /pool --file policy.yaml',
  ];

  static override flags = {
    pool: poolFlag,
    file: Flags.string({
      summary: 'What this policy would do instead of the one that is set; - for standard input.',
      helpValue: 'FILE',
    }),
  };

  async run(): Promise<Output<'policy explain'>> {
    const { flags } = await this.parse(PolicyExplain);
    const view = await explainPolicy(flags.pool, flags.file ?? null);
    this.log(policyExplainText(view));
    return view;
  }
}
