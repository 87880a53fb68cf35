import { Flags } from '@oclif/core';
import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { prose } from '../../cli/prose.js';
import { reclamationStatus } from '../../cli/reclamation-control.js';
import { reclamationStatusText } from '../../cli/reclamation-text.js';
import type { Output } from '../../cli/schemas.js';
import { isUtf8 } from '../../cli/sparkline.js';

/** Shows the policy, what it has done and what is under way. */
export default class ReclamationStatus extends BaseCommand {
  static override hiddenAliases = ['reclamation-status'];
  static override summary = 'Show the policy, what is under way, and the last reclamations.';

  static override description =
    prose(`A reclamation is one analysis, defragmentation by tier and trim. "Did not help" marks
one after which the trigger would fire again: it waits longer before it does.

EXIT STATUS: 0 shown, 2 usage, 10 no such pool, 21 not registered.`);

  static override examples = ['<%= config.bin %> <%= command.id %> --pool /pool'];
  static override flags = {
    pool: poolFlag,
    recent: Flags.integer({
      summary: 'How many of those that ended are shown.',
      default: 5,
      min: 0,
      max: 1_000,
      helpValue: 'COUNT',
    }),
  };

  async run(): Promise<Output<'reclamation status'>> {
    const { flags } = await this.parse(ReclamationStatus);
    const view = await reclamationStatus(flags.pool, flags.recent);
    this.log(reclamationStatusText(view, Date.now(), isUtf8(process.env)));
    return view;
  }
}
