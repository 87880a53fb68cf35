import { Flags } from '@oclif/core';
import { analyze, anyAnalysisText, queueAnalysis } from '../../cli/analysis.js';
import { BaseCommand, poolFlag } from '../../cli/base-command.js';
import { mapText, stdoutIsColoured } from '../../cli/map-text.js';
import { prose } from '../../cli/prose.js';
import { exitCodeOfError } from '../../cli/report-error.js';
import type { Output } from '../../cli/schemas.js';

/** Measures fragmentation. */
export default class DefragAnalyze extends BaseCommand {
  static override hiddenAliases = ['defrag-analyze'];
  static override summary = 'Measure fragmentation and recommend what to do.';

  static override description =
    prose(`Reads only. Fragmentation ratio = fragmented extents / extents: above 15 %
Consider, above 30 % Recommended, above 50 % Urgent. Any mount point will do, registered or not: there
an extent is a file.

EXIT STATUS: 0 measured, 2 usage, 10 no such pool, 12 this file system does not tell where files lie,
18 queue unreachable (--background), 20 not all could be read (what could be is printed, marked as
incomplete, without a recommendation), 21 not a pool, 25 not mounted, 130 interrupted.`);

  static override examples = [
    '<%= config.bin %> <%= command.id %> --pool /pool',
    '<%= config.bin %> <%= command.id %> --pool /pool --map',
    '<%= config.bin %> <%= command.id %> --pool /mnt/data --path db',
  ];

  static override flags = {
    pool: poolFlag,
    map: Flags.boolean({ summary: 'Draw where everything lies.', default: false }),
    path: Flags.string({
      summary: 'Of a mounted file system: only what lies there, absolute or from the mount.',
      helpValue: 'PATH',
    }),
    background: Flags.boolean({
      summary: 'Let the agent measure, for its metrics.',
      default: false,
    }),
  };

  async run(): Promise<Output<'defrag analyze'>> {
    const { flags } = await this.parse(DefragAnalyze);
    if (flags.background) {
      const queued = await queueAnalysis(flags.pool, (message) => this.note(message));
      this.log(`Queued as job ${queued.jobId}`);
      return queued;
    }
    const analysis = await analyze(flags.pool, {
      withMaps: flags.map,
      path: flags.path ?? null,
      quiet: this.jsonEnabled(),
    });
    this.log(anyAnalysisText(analysis));
    if (analysis.kind === 'file-system' && analysis.incomplete) {
      this.noteError(analysis.incomplete);
      process.exitCode = exitCodeOfError(analysis.incomplete);
    }
    if (analysis.maps) this.log(`\n${mapText(analysis.maps, stdoutIsColoured())}`);
    return analysis;
  }
}
