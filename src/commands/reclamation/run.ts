import { Flags } from '@oclif/core';
import { BaseCommand, exitCodeOf, poolFlag } from '../../cli/base-command.js';
import { prose } from '../../cli/prose.js';
import { startReclamation } from '../../cli/reclamation-control.js';
import { reclamationLines } from '../../cli/reclamation-text.js';
import { exitCodeOfError } from '../../cli/report-error.js';
import type { Output } from '../../cli/schemas.js';

/** Does now what the policy does when a trigger fires. */
export default class ReclamationRun extends BaseCommand {
  static override summary = 'Analyze, defragment by tier and trim now, as the policy says.';

  static override description =
    prose(`One reclamation, in the background: an analysis, the defragmentation of each tier that the
policy defragments and whose threshold is passed, a trim, and an analysis of what came of it. Windows, quiet
hours and budgets hold for what begins by itself, not for this.

EXIT STATUS: 0 begun, 2 usage, 10 no such pool, 11 one is open already, 18 queue unreachable, 21 not
registered, 25 not mounted, 26 no agent; with --wait also 1 or the code of the step that failed, 64 some
extents failed, 130 interrupted (it goes on).`);

  static override examples = ['<%= config.bin %> <%= command.id %> --pool /pool --wait'];
  static override flags = {
    pool: poolFlag,
    wait: Flags.boolean({ summary: 'Wait for it to end.', default: false }),
  };

  async run(): Promise<Output<'reclamation run'>> {
    const { flags } = await this.parse(ReclamationRun);
    const reclamation = await startReclamation(flags.pool, {
      wait: flags.wait,
      quiet: this.jsonEnabled(),
      note: (message) => this.note(message),
    });
    for (const line of reclamationLines(reclamation, Date.now())) this.log(line);
    if (!flags.wait) this.log("Use 'reclamation status' to follow it");
    const { state, error, failedCount, defragmentedCount } = reclamation;
    if (state === 'failed') process.exitCode = error ? exitCodeOfError(error) : 1;
    else if (flags.wait) process.exitCode = exitCodeOf(Math.max(1, defragmentedCount), failedCount);
    this.noteError(error);
    return { schemaVersion: 1, reclamation };
  }
}
