import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { editPolicy } from '../../cli/policy-edit.js';
import { policySetText } from '../../cli/policy-text.js';
import { prose } from '../../cli/prose.js';
import type { Output } from '../../cli/schemas.js';

/** Opens the policy in an editor. */
export default class PolicyEdit extends BaseCommand {
  static override summary = 'Change the policy of a pool in an editor.';

  static override description =
    prose(`Opens $VISUAL, else $EDITOR, else vi, with what differs from the preset, and below it as
comments every field with the value that holds. A text with errors changes nothing: each is shown with
its path, and the text is kept in a file that is named. An unchanged text changes nothing.

EXIT STATUS: 0 set, or nothing to do, 2 usage, errors in the text, or the editor failed, 10 no such
pool, 11 somebody else set the policy meanwhile, 21 not registered.`);

  static override examples = ['EDITOR=nano <%= config.bin %> <%= command.id %> --pool /pool'];
  static override flags = { pool: poolFlag };

  async run(): Promise<Output<'policy edit'>> {
    const { flags } = await this.parse(PolicyEdit);
    const { isChanged, view } = await editPolicy(flags.pool, this.jsonEnabled());
    this.log(isChanged ? policySetText(view) : 'Nothing was changed.');
    return view;
  }
}
