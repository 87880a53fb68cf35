import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { showPolicy } from '../../cli/policy-control.js';
import { policyText } from '../../cli/policy-text.js';
import { prose } from '../../cli/prose.js';
import type { Output } from '../../cli/schemas.js';

/** Shows the policy that holds. */
export default class PolicyShow extends BaseCommand {
  static override summary = 'Show the policy that holds, with every value.';

  static override description = prose(`EXIT STATUS: 0 shown, 2 usage, 10 no such pool.`);

  static override examples = ['<%= config.bin %> <%= command.id %> --pool /pool'];
  static override flags = { pool: poolFlag };

  async run(): Promise<Output<'policy show'>> {
    const { flags } = await this.parse(PolicyShow);
    const view = await showPolicy(flags.pool);
    this.log(policyText(view));
    return view;
  }
}
